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
    /// Largest norm of a step's gradients; longer ones are shortened to it.
    #[serde(default = "three")]
    pub clip: f64,
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

/// Of the steps on MNIST a fiftieth is longer; the first steps on other tasks are up to five times so.
fn three() -> f64 {
    3.0
}

fn a_twentieth() -> f64 {
    0.05
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
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

impl Optimiser {
    fn mistakes(self) -> Vec<String> {
        let (decays, weight_decay) = match self {
            Self::Sgd { momentum, weight_decay } => (vec![("momentum", momentum)], weight_decay),
            Self::AdamW { beta1, beta2, weight_decay } => {
                (vec![("beta1", beta1), ("beta2", beta2)], weight_decay)
            }
        };
        let outside = |(_, decay): &(&str, f64)| !(0.0..1.0).contains(decay);
        let mut mistakes: Vec<String> = decays
            .into_iter()
            .filter(outside)
            .map(|(field, _)| format!("optimiser.{field}: must be at least 0 and below 1"))
            .collect();
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            mistakes.push("optimiser.weight_decay: must be at least 0".to_owned());
        }
        mistakes
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
        let cosine = f64::midpoint(1.0, (std::f64::consts::PI * fallen).cos());
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
        mistakes.extend(self.augment.mistakes());
        let mut demand = |holds: bool, mistake: &str| {
            if !holds {
                mistakes.push(mistake.to_owned());
            }
        };
        let Schedule { peak, warmup, floor } = self.schedule;
        let average = self.average.unwrap_or(Average { decay: 0.0, from: 0.0 });
        demand(self.epochs > 0, "epochs: must be at least 1");
        demand(self.ghost_batch > 1, "ghost_batch: batch norm needs at least 2 images");
        demand(
            self.batch > 0 && self.batch.is_multiple_of(self.ghost_batch.max(1)),
            "batch: must be a multiple of `ghost_batch`",
        );
        demand(peak.is_finite() && peak > 0.0, "schedule.peak: must be above 0");
        demand((0.0..1.0).contains(&warmup), "schedule.warmup: must be at least 0 and below 1");
        demand((0.0..=1.0).contains(&floor), "schedule.floor: must be between 0 and 1");
        demand(
            (0.0..1.0).contains(&self.label_smoothing),
            "label_smoothing: must be at least 0 and below 1",
        );
        demand(self.clip > 0.0 && self.clip.is_finite(), "clip: must be above 0");
        demand(
            (0.0..1.0).contains(&average.decay),
            "average.decay: must be at least 0 and below 1",
        );
        demand((0.0..1.0).contains(&average.from), "average.from: must be at least 0 and below 1");
        demand(
            self.validation > 0.0 && self.validation < 1.0,
            "validation: must be between 0 and 1, both excluded",
        );
        mistakes.extend(self.optimiser.mistakes());
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
net:
  blocks:
    - { channels: 4, stride: 2 }
epochs: 1
batch: 64
schedule: { peak: 0.1 }
";

    fn parse(text: &str) -> Result<Recipe, RecipeError> {
        Recipe::from_yaml(text, Path::new("my.yaml"))
    }

    #[test]
    fn the_shipped_recipes_are_valid() {
        for name in ["quick", "release"] {
            let path = format!("{}/recipes/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            Recipe::read(path.as_ref()).unwrap();
        }
    }

    #[test]
    fn a_typo_is_shown_with_file_and_line() {
        let check = |right: &str, wrong: &str, line: usize| {
            let error = parse(&SMALL.replace(right, wrong)).unwrap_err().to_string();
            for part in ["my.yaml", wrong.split(':').next().unwrap(), &format!("line {line}")] {
                assert!(error.contains(part), "`{part}` missing in: {error}");
            }
        };
        check("epochs: 1", "epoch: 1", 5);
        check("peak: 0.1", "peek: 0.1", 7);
    }

    #[test]
    fn all_impossible_values_are_reported_together() {
        let wrong = SMALL
            .replace("channels: 4", "channels: 0")
            .replace("epochs: 1", "epochs: 0")
            .replace("batch: 64", "batch: 100")
            .replace("peak: 0.1", "peak: -1, warmup: 2")
            + "augment: { rotate: -5 }\nclip: 0\nlabel_smoothing: 1.5\nvalidation: 0\naverage: { decay: 1 }\n";
        let error = parse(&wrong).unwrap_err().to_string();
        let fields = [
            "net.blocks[0].channels",
            "epochs",
            "batch",
            "schedule.peak",
            "schedule.warmup",
            "augment.rotate",
            "clip",
            "label_smoothing",
            "validation",
            "average.decay",
        ];
        for field in fields {
            assert!(error.contains(&format!("{field}: ")), "`{field}` missing in:\n{error}");
        }
    }

    #[test]
    fn a_recipe_reads_back_with_every_default_spelled_out() {
        let recipe = parse(SMALL).unwrap();
        let json = serde_json::to_value(&recipe).unwrap();
        for field in [
            "ghost_batch",
            "optimiser",
            "clip",
            "label_smoothing",
            "average",
            "augment",
            "validation",
        ] {
            assert!(json.get(field).is_some(), "{field} missing in {json}");
        }
        assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), recipe);
    }

    #[test]
    fn the_learning_rate_rises_to_the_peak_and_falls_to_the_floor() {
        let schedule = Schedule { peak: 1.0, warmup: 0.25, floor: 0.1 };
        let rates: Vec<f64> = (0..1000).map(|step| schedule.rate(step, 1000)).collect();
        assert!(rates[..250].is_sorted(), "rises");
        assert!(rates[250..].is_sorted_by(|a, b| a >= b), "falls");
        assert!(rates[0] < 0.01 && (rates[250] - 1.0).abs() < 1e-4);
        assert!((rates[999] - 0.1).abs() < 1e-4, "{}", rates[999]);
    }
}
