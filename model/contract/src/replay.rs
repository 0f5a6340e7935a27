//! [`Replay`]: what two models said of the pictures in a service's records. Printed by `model replay`, read by
//! the gate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manifest::ModelVersion;
use crate::prediction::{Label, Prediction};
use crate::record::skip::Skip;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    pub candidate: ModelVersion,
    pub champion: ModelVersion,
    /// Pictures that both answered, each counted once.
    pub images: u64,
    /// Those that the two call differently, whatever the candidate is most sure of first.
    pub flips: Vec<Flip>,
    /// Those that only the candidate calls what people said that they are; none of them is among the flips.
    pub corrected: Vec<Flip>,
    /// Lines by the reason why they were not replayed.
    pub skipped: BTreeMap<Skip, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    pub request_id: String,
    /// Which image of the request, from 0.
    pub image: usize,
    /// As the record has it.
    pub ts: String,
    pub champion: Answer,
    pub candidate: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub label: Label,
    /// 0 to 1.
    pub confidence: f32,
}

impl From<&Prediction> for Answer {
    fn from(prediction: &Prediction) -> Self {
        Self { label: prediction.label, confidence: prediction.confidence }
    }
}

impl Replay {
    /// Share of the pictures that the two call differently, and nobody wanted to be so; 0 to 1.
    pub fn share(&self) -> f64 {
        self.flips.len() as f64 / self.images.max(1) as f64
    }
}
