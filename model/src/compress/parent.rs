//! [`Parent`]: the model that a compression starts from, read from an artifact whose every digest held.

use std::path::{Path, PathBuf};

use contract::artifact::{Artifact, ArtifactError, METRICS};
use contract::manifest::Manifest;
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::int8;
use crate::net::Net;
use crate::recipe::{Recipe, RecipeError};
use crate::tensors::{self, Tensors, TensorsError};
use crate::training::Epoch;

#[derive(Debug)]
pub struct Parent {
    pub(super) manifest: Manifest,
    pub(super) recipe: Recipe,
    /// The variables of the recipe's net, all of them and no others, as floats.
    pub(super) weights: Tensors,
    pub(super) epochs: Vec<Epoch>,
}

#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("a file of the artifact cannot be read")]
    File(#[from] std::io::Error),
    #[error("the recipe that the artifact was trained by cannot be followed again")]
    Recipe(#[from] RecipeError),
    #[error("`{path}` cannot be read")]
    Weights { path: PathBuf, source: TensorsError },
    #[error("`{path}` holds no net of the artifact's recipe: {mistake}")]
    Misfit { path: PathBuf, mistake: String },
    #[error("`{path}` does not tell of the artifact's training")]
    Metrics { path: PathBuf, source: serde_json::Error },
}

impl Parent {
    pub fn open(folder: &Path) -> Result<Self, ParentError> {
        let artifact = Artifact::open(folder)?;
        let manifest = artifact.manifest().clone();
        // JSON is YAML.
        let recipe = manifest.training.config.to_string();
        let recipe = Recipe::from_yaml(&recipe, &folder.join(contract::artifact::MANIFEST))?;
        let path = artifact.weights();
        let weights = match tensors::from_bytes(&fs_err::read(&path)?) {
            Ok((weights, _)) => int8::unpacked(weights),
            Err(source) => return Err(ParentError::Weights { path, source }),
        };
        if let Some(mistake) = misfit(&manifest, &recipe, &weights) {
            return Err(ParentError::Misfit { path, mistake });
        }
        let epochs = read_epochs(&folder.join(METRICS))?;
        Ok(Self { manifest, recipe, weights, epochs })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// What keeps `weights` from being those of the net that the recipe names; none where they are.
fn misfit(manifest: &Manifest, recipe: &Recipe, weights: &Tensors) -> Option<String> {
    let vars = VarStore::new(Device::Cpu);
    let classes = manifest.task.classes.len();
    if let Err(nothing) = Net::new(&vars.root(), manifest.task.input, classes, &recipe.net) {
        return Some(nothing.to_string());
    }
    let variables: Tensors = vars.variables().into_iter().collect();
    let wrong = variables.iter().find(|(name, variable)| {
        let found = weights.get(*name);
        found.is_none_or(|found| found.kind() != Kind::Float || found.size() != variable.size())
    });
    if let Some((name, variable)) = wrong {
        return Some(format!("`{name}` is not {:?} floats", variable.size()));
    }
    let extra = weights.keys().find(|name| !variables.contains_key(*name));
    extra.map(|name| format!("`{name}` is no variable of it"))
}

fn read_epochs(path: &Path) -> Result<Vec<Epoch>, ParentError> {
    let text = fs_err::read_to_string(path)?;
    text.lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(|source| ParentError::Metrics { path: path.to_owned(), source })
}
