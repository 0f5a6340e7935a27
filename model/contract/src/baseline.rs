//! [`Baseline`]: how inputs and predictions were distributed when the model was trained. Drift is the
//! distance of live traffic from it.

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::prediction::{Label, Prediction};

const BINS: usize = 20;

/// Counts in bins of equal width over `[low, high]`; values outside fall into the end bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    pub low: f64,
    pub high: f64,
    pub counts: Vec<u64>,
}

impl Histogram {
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high, counts: vec![0; BINS] }
    }

    pub fn observe(&mut self, value: f32) {
        let bin = self.bin(value);
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1;
        }
    }

    /// Where a value is counted.
    pub fn bin(&self, value: f32) -> usize {
        let share = (f64::from(value) - self.low) / (self.high - self.low);
        let last = self.counts.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the bins; a float cast saturates and NaN becomes 0"
        )]
        let bin = (share * self.counts.len() as f64).clamp(0.0, last as f64) as usize;
        bin
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    pub ink: Histogram,
    pub bbox: Histogram,
    pub entropy: Histogram,
    pub confidence: Histogram,
    /// Predictions per class, in the order of the task's classes.
    pub classes: Vec<u64>,
}

/// What a baseline has a distribution of.
pub const SIGNALS: [&str; 5] = ["ink", "bbox", "entropy", "confidence", "class"];
/// The one of them whose bins have no order.
pub const CLASS: usize = 4;

impl Baseline {
    /// In the order of [`SIGNALS`].
    pub fn distributions(&self) -> [&[u64]; SIGNALS.len()] {
        let Self { ink, bbox, entropy, confidence, classes } = self;
        [&ink.counts, &bbox.counts, &entropy.counts, &confidence.counts, classes]
    }

    /// Where a prediction is counted, in the order of [`SIGNALS`].
    pub fn bins(
        &self,
        features: Features,
        confidence: f32,
        label: Label,
    ) -> [usize; SIGNALS.len()] {
        let Features { ink, bbox, entropy } = features;
        [
            self.ink.bin(ink),
            self.bbox.bin(bbox),
            self.entropy.bin(entropy),
            self.confidence.bin(confidence),
            label,
        ]
    }

    pub fn new(classes: usize) -> Self {
        Self {
            ink: Histogram::new(0.0, 1.0),
            bbox: Histogram::new(0.0, 1.0),
            entropy: Histogram::new(0.0, 4.0),
            confidence: Histogram::new(0.0, 1.0),
            classes: vec![0; classes],
        }
    }

    pub fn observe(&mut self, features: &Features, prediction: &Prediction) {
        self.ink.observe(features.ink);
        self.bbox.observe(features.bbox);
        self.entropy.observe(features.entropy);
        self.confidence.observe(prediction.confidence);
        if let Some(count) = self.classes.get_mut(prediction.label) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_the_range_fall_into_the_end_bins() {
        let mut histogram = Histogram::new(0.0, 1.0);
        for value in [-1.0, 0.0, 0.049, 0.05, 1.0, 7.0, f32::NAN] {
            histogram.observe(value);
        }
        assert_eq!(histogram.counts[0], 4);
        assert_eq!(histogram.counts[1], 1);
        assert_eq!(histogram.counts[19], 2);
        assert_eq!(histogram.total(), 7);
    }
}
