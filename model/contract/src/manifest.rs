//! [`Manifest`]: what an artifact is, from what it came, how good it is. Weights never travel without it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::digest::Digest;
use crate::evaluation::ClassMetrics;
use crate::task::Task;

/// Raised when a reader of the previous number could misread a manifest.
pub const SCHEMA: u32 = 1;

/// First 12 hex digits of the weights' digest: the one name of a model in headers, paths, tags and pins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ModelVersion(String);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a model version: expected 12 lower-case hex digits")]
pub struct InvalidModelVersion(String);

const VERSION_DIGITS: usize = 12;

impl ModelVersion {
    pub fn of(weights: &Digest) -> Self {
        Self(weights.hex()[..VERSION_DIGITS].to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelVersion {
    type Err = InvalidModelVersion;

    fn from_str(text: &str) -> Result<Self, InvalidModelVersion> {
        let valid = text.len() == VERSION_DIGITS
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidModelVersion(text.to_owned())) }
    }
}

impl From<ModelVersion> for String {
    fn from(version: ModelVersion) -> Self {
        version.0
    }
}

impl TryFrom<String> for ModelVersion {
    type Error = InvalidModelVersion;

    fn try_from(text: String) -> Result<Self, InvalidModelVersion> {
        text.parse()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    pub model_version: ModelVersion,
    /// Digest of `weights.safetensors`.
    pub model_digest: Digest,
    pub task: Task,
    pub data: DataRecord,
    pub training: TrainingRecord,
    /// None for a model that began with random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionRecord>,
    pub source: SourceRecord,
    /// Version of libtorch that trained and traced the model.
    pub libtorch: String,
    pub metrics: Metrics,
    pub baseline: Baseline,
    pub latency: Vec<Latency>,
    /// Shape of every tensor in the weights, by name.
    pub tensors: BTreeMap<String, Vec<usize>>,
    /// Digest of every other file of the artifact, by name.
    pub files: BTreeMap<String, Digest>,
}

impl Manifest {
    /// The task's title for people, who are told if the model never saw a real picture.
    pub fn title(&self) -> String {
        if self.data.is_synthetic() {
            format!("{} ({})", self.task.title, self.data.name)
        } else {
            self.task.title.clone()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// The task's data name, or `synthetic-…`.
    pub name: String,
    /// Over the pixels and labels as decoded, train before test; with what was added to it, over that and the rest.
    pub digest: Digest,
    pub train: usize,
    /// So many of `train` are pictures that a service was shown, labelled afterwards.
    #[serde(default, skip_serializing_if = "is_none")]
    pub added: usize,
    pub validation: usize,
    pub test: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl DataRecord {
    /// Made by a generator; no other data may be called so.
    pub fn is_synthetic(&self) -> bool {
        self.name.starts_with("synthetic-")
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    pub recipe: String,
    /// The recipe as trained, every default spelled out.
    pub config: serde_json::Value,
    pub seed: u64,
    pub threads: usize,
    pub device: String,
    pub epochs: u32,
    pub parameters: usize,
    /// Wall-clock seconds from the first step to the last, interruptions left out.
    pub seconds: f64,
    /// When training ended, RFC 3339 in UTC.
    pub finished_at: String,
}

/// How a model was made out of another one, its parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompressionRecord {
    pub parent: ModelVersion,
    /// Share of each block's channels that was removed, as it was asked for; 0 where all were kept.
    pub pruned: f64,
    /// Weights are 8-bit integers with a scale per output channel.
    pub int8: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRecord {
    /// Commit the trainer was run from; none outside a Git repository.
    pub git_revision: Option<String>,
    /// The work tree held changes that no commit records.
    pub dirty: bool,
}

/// All of the test suite, which is read once, after training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Share of test images classified rightly, 0 to 1.
    pub accuracy: f64,
    pub validation_accuracy: f64,
    /// Mean negative log-likelihood in nats.
    pub loss: f64,
    /// Expected calibration error over the bins of `reliability`, 0 to 1.
    pub calibration_error: f64,
    pub per_class: Vec<ClassMetrics>,
    /// `[actual][predicted]` counts.
    pub confusion: Vec<Vec<u64>>,
    pub reliability: Vec<ReliabilityBin>,
    /// Positions of misclassified test images, ascending.
    pub misclassified: Vec<usize>,
}

/// Predictions whose confidence fell into one of equally wide bins over 0..1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    pub count: u64,
    pub mean_confidence: f64,
    pub accuracy: f64,
}

/// Median forward time of the traced model on one thread of the machine that trained it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    pub batch: usize,
    pub microseconds_per_image: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_start_of_the_weights_digest() {
        let version = ModelVersion::of(&Digest::of(b"abc"));
        assert_eq!(version.as_str(), "ba7816bf8f01");
        assert_eq!("ba7816bf8f01".parse::<ModelVersion>().unwrap(), version);
        for wrong in ["", "ba7816bf8f0", "ba7816bf8f01c", "BA7816BF8F01", "../../../etc"] {
            assert!(wrong.parse::<ModelVersion>().is_err(), "{wrong}");
        }
    }
}
