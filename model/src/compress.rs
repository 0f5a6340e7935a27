//! Smaller models out of trained ones: fewer channels, trained on; 8-bit weights.
//!
//! What comes out is trained and judged as any model is, on the images that trained and validated its parent, and is
//! an artifact like any other.

pub(crate) mod int8;
mod parent;
mod prune;

use contract::manifest::{CompressionRecord, DataRecord, Manifest, ModelVersion};
use tch::Device;

pub use parent::{Parent, ParentError};

use crate::tensors::Tensors;
use crate::training::{Epoch, Plan, Trainer, TrainingError};

/// What is to be made of a parent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Share of each block's channels to remove, at least 0 and below 1.
    pub prune: f64,
    /// Passes over the data once channels were removed. None: as many as the parent was trained for.
    pub epochs: Option<u32>,
    pub int8: bool,
    pub threads: usize,
}

/// Where a training begins that does not begin with random weights.
#[derive(Debug)]
pub struct Start {
    weights: Tensors,
    /// Those of the parent's training, where nothing is left to train.
    epochs: Option<Vec<Epoch>>,
    /// What the parent was trained on.
    data: DataRecord,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "a share of {share} is no channel of {model}, whose blocks have {channels:?}\n\nhint: a larger share"
)]
pub struct NothingPruned {
    share: f64,
    model: ModelVersion,
    channels: Vec<i64>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the artifact was trained on other images than these: on {}, and these are {}\n\nhint: name the task and the data \
     that it was trained on; labelled pictures are those of the commit that its manifest names",
    told(expected),
    told(found)
)]
pub struct OtherData {
    expected: Box<DataRecord>,
    found: Box<DataRecord>,
}

fn told(data: &DataRecord) -> String {
    let DataRecord { name, digest, train, added, validation, .. } = data;
    format!(
        "`{name}` {digest}, {train} to train on, {added} of them labelled by callers, {validation} to validate"
    )
}

impl Parent {
    /// How to train what is wanted, and from what.
    pub fn compressed(self, wanted: Wanted) -> Result<(Plan, Start), NothingPruned> {
        let Self { manifest, mut recipe, mut weights, epochs } = self;
        let Manifest { task, training, model_version, data, .. } = manifest;
        let mut epochs = Some(epochs);
        if wanted.prune > 0.0 {
            let smaller;
            (weights, smaller) = prune::prune(&weights, &recipe.net, task.input, wanted.prune);
            if smaller == recipe.net {
                let channels = smaller.blocks.iter().map(|block| block.channels).collect();
                return Err(NothingPruned { share: wanted.prune, model: model_version, channels });
            }
            recipe.net = smaller;
            recipe.epochs = wanted.epochs.unwrap_or(recipe.epochs);
            epochs = None;
        }
        let compression =
            CompressionRecord { parent: model_version, pruned: wanted.prune, int8: wanted.int8 };
        let plan = Plan {
            recipe,
            recipe_name: training.recipe,
            normalisation: task.normalisation,
            // By which the same images validate.
            seed: training.seed,
            threads: wanted.threads,
            device: Device::Cpu,
            compression: Some(compression),
        };
        Ok((plan, Start { weights, epochs, data }))
    }
}

impl Start {
    /// Images parted as they were for the parent: what validated it must not be trained on now.
    pub fn demand(&self, data: &DataRecord) -> Result<(), OtherData> {
        if *data == self.data {
            return Ok(());
        }
        Err(OtherData { expected: Box::new(self.data.clone()), found: Box::new(data.clone()) })
    }

    pub fn apply(&self, trainer: &mut Trainer) -> Result<(), TrainingError> {
        trainer.start_from(&self.weights)?;
        if let Some(epochs) = &self.epochs {
            trainer.end_with(epochs.clone());
        }
        Ok(())
    }
}
