//! [`Recipe`]: how a model is trained. Read from a YAML file, recorded with every default spelled out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::net::NetConfig;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub net: NetConfig,
    pub epochs: u32,
    /// Images per step.
    pub batch: usize,
    /// Images that are computed together on one thread and share the statistics of batch norm: Hoffer
    /// et al., "Train longer, generalize better", 2017. A divisor of `batch`. So many threads can work
    /// at a step, and how many do changes nothing.
    #[serde(default = "sixty_four")]
    pub ghost_batch: usize,
    #[serde(default)]
    pub optimiser: Optimiser,
    pub schedule: Schedule,
    /// Share of the target probability that is spread evenly over all classes: Szegedy et al.,
    /// "Rethinking the Inception architecture", 2015.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Exponential moving average of the weights, which becomes the model. None: the last weights.
    #[serde(default)]
    pub average: Option<Average>,
    #[serde(default)]
    pub augment: Augment,
    /// Share of the training images that validates instead.
    #[serde(default = "a_twentieth")]
    pub validation: f64,
}

fn sixty_four() -> usize {
    64
}

fn a_twentieth() -> f64 {
    0.05
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// Nesterov's momentum as Sutskever et al. write it, 2013.
    Sgd { momentum: f64, weight_decay: f64 },
    /// Loshchilov and Hutter, "Decoupled weight decay regularization", 2017.
    AdamW { beta1: f64, beta2: f64, weight_decay: f64 },
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::Sgd { momentum: 0.9, weight_decay: 5e-4 }
    }
}

/// One cycle: a linear rise to the peak, then half a cosine down. Smith and Topin, "Super-convergence",
/// 2017; the cosine is what fast.ai made of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub peak: f64,
    /// Share of the steps that the rise takes.
    #[serde(default = "a_quarter")]
    pub warmup: f64,
    /// Where the cosine ends, as a share of the peak.
    #[serde(default)]
    pub floor: f64,
}

fn a_quarter() -> f64 {
    0.25
}

impl Schedule {
    /// The learning rate of `step` out of `steps`.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let at = (step as f64 + 0.5) / steps as f64;
        if at < self.warmup {
            return self.peak * at / self.warmup;
        }
        let fallen = (at - self.warmup) / (1.0 - self.warmup);
        let cosine = (1.0 + (std::f64::consts::PI * fallen).cos()) / 2.0;
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// Share of the average that a step keeps, once enough steps were taken.
    pub decay: f64,
    /// Share of the training after which averaging begins.
    #[serde(default)]
    pub from: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("the recipe cannot be read: {0}")]
    Read(std::io::Error),
    #[error("`{path}` is not a recipe: {source}")]
    Syntax { path: PathBuf, source: serde_yaml::Error },
    /// Every mistake, one per line.
    #[error("`{path}` cannot be trained by:\n{}", .mistakes.join("\n"))]
    Values { path: PathBuf, mistakes: Vec<String> },
}

impl Recipe {
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = fs_err::read_to_string(path).map_err(RecipeError::Read)?;
        Self::from_yaml(&text, path)
    }

    /// `path` is for the error.
    pub fn from_yaml(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let recipe: Self = serde_yaml::from_str(text)
            .map_err(|source| RecipeError::Syntax { path: path.to_owned(), source })?;
        let mistakes = recipe.mistakes();
        if mistakes.is_empty() {
            Ok(recipe)
        } else {
            Err(RecipeError::Values { path: path.to_owned(), mistakes })
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.net.mistakes();
        let mut demand = |holds: bool, mistake: &str| {
            if !holds {
                mistakes.push(mistake.to_owned());
            }
        };
        demand(self.epochs > 0, "epochs: at least 1");
        demand(self.ghost_batch > 1, "ghost_batch: batch norm needs at least 2 images");
        demand(
            self.batch > 0 && self.batch.is_multiple_of(self.ghost_batch.max(1)),
            "batch: must be a multiple of `ghost_batch`",
        );
        mistakes.extend(self.augment.mistakes());
        mistakes
    }
}
