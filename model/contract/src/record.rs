//! [`Record`]: what a service remembers of one prediction, as a line of JSON. Written by the service, read by
//! whoever measures drift or replays predictions; never pixels unless sampled, and never who asked in the clear.

pub mod log;
pub mod skip;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::features::Features;
use crate::image::Image;
use crate::manifest::ModelVersion;
use crate::prediction::{Label, Prediction};

/// Of this form. A reader meets other numbers and counts them as not read.
pub const SCHEMA: u32 = 1;
/// So many of the likeliest classes are remembered.
const LIKELIEST: usize = 3;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema: u32,
    pub kind: Kind,
    /// RFC 3339, UTC, to the microsecond.
    pub ts: String,
    pub request_id: String,
    /// 32 hex digits, where the caller sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Who asked, where callers are known or counted: 16 hex digits by a secret of the process that wrote the line.
    /// They are alike for the same caller in the same process, and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    pub route: String,
    pub app_version: String,
    pub model_version: ModelVersion,
    /// Which image of the request, from 0, and how many it had.
    pub image: usize,
    pub images: usize,
    pub input: Input,
    pub output: Output,
    pub ms: Milliseconds,
    /// Images computed together.
    pub batch: usize,
    /// Every pixel, base64, of what was sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Prediction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Of the pixels, so that a picture that comes again is known.
    pub sha256: Digest,
    pub ink: f32,
    pub bbox: f32,
    pub entropy: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub label: Label,
    pub confidence: f32,
    /// Of the probabilities, in nats.
    pub entropy: f32,
    /// Distance of the two likeliest, 0 to 1.
    pub margin: f32,
    /// Classes with their probabilities, likeliest first.
    pub top: Vec<(Label, f32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Milliseconds {
    pub decode: f64,
    pub queue: f64,
    pub infer: f64,
}

impl Input {
    pub fn of(image: &Image, features: &Features) -> Self {
        let Features { ink, bbox, entropy } = *features;
        Self { sha256: Digest::of(image.pixels()), ink, bbox, entropy }
    }
}

impl Output {
    pub fn of(prediction: &Prediction) -> Self {
        let probabilities = prediction.scores.probabilities();
        let mut top: Vec<(Label, f32)> = probabilities.iter().copied().enumerate().collect();
        top.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let margin = match top[..] {
            [(_, first), (_, second), ..] => first - second,
            _ => prediction.confidence,
        };
        top.truncate(LIKELIEST);
        let Prediction { label, confidence, ref scores } = *prediction;
        Self { label, confidence, entropy: scores.entropy(), margin, top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prediction::Scores;

    #[test]
    fn the_likeliest_classes_and_their_distance_are_remembered() {
        let scores = Scores::new([0.125, 0.5, 0.0, 0.25, 0.125]).unwrap();
        let output = Output::of(&Prediction::from(scores));
        assert_eq!(output.top, [(1, 0.5), (3, 0.25), (0, 0.125)]);
        assert_eq!((output.label, output.margin), (1, 0.25));
    }

    #[test]
    fn of_one_class_there_is_no_second() {
        let output = Output::of(&Prediction::from(Scores::new([1.0]).unwrap()));
        assert_eq!((output.top, output.margin), (vec![(0, 1.0)], 1.0));
    }
}
