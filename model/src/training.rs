//! From a [`Recipe`] and a [`Dataset`] to a trained net.

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use crate::net::Net;
use crate::recipe::Recipe;

/// The test set was not read to make this.
#[derive(Debug)]
pub struct Trained {
    pub net: Net,
    /// The variables of `net` by name, on the CPU: what `weights.safetensors` holds.
    pub vars: VarStore,
    pub recipe: Recipe,
    /// `quick`, `release`, or the stem of the recipe's file.
    pub recipe_name: String,
    pub seed: u64,
    pub threads: usize,
    pub device: String,
    pub epochs: Vec<Epoch>,
    pub parameters: usize,
    /// Wall-clock seconds from the first step to the last, interruptions left out.
    pub seconds: f64,
    /// RFC 3339 in UTC.
    pub finished_at: String,
}

/// One line of `metrics.jsonl` and one point of the learning curves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u32,
    /// Mean over the steps of the epoch, with augmentation and smoothing.
    pub train_loss: f64,
    pub train_accuracy: f64,
    /// Of the averaged weights, where the recipe averages. Mean negative log-likelihood in nats.
    pub validation_loss: f64,
    pub validation_accuracy: f64,
    pub learning_rate: f64,
    /// Since training began, interruptions left out.
    pub seconds: f64,
}
