//! What a model says of a whole split, and everything derived from it: metrics, the drift baseline and
//! the [`Evaluation`] that travels with the artifact.

use contract::baseline::Baseline;
use contract::evaluation::{Evaluation, InvalidEvaluation};
use contract::features::Features;
use contract::image::Image;
use contract::manifest::{Metrics, ReliabilityBin};
use contract::prediction::{Label, Prediction, Scores};

use crate::dataset::Split;

const BATCH: usize = 250;
const RELIABILITY_BINS: usize = 15;

/// One prediction per image of the split, in its order.
pub fn predict<E>(
    split: &Split,
    mut classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, E>,
) -> Result<Vec<Prediction>, E> {
    let mut predictions = Vec::with_capacity(split.len());
    let mut images = split.images();
    loop {
        let batch: Vec<Image> = images.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(predictions);
        }
        predictions.extend(classify(&batch)?.into_iter().map(Prediction::from));
    }
}

pub fn evaluation(
    suite: String,
    classes: usize,
    labels: &[Label],
    predictions: &[Prediction],
) -> Result<Evaluation, InvalidEvaluation> {
    let predicted = predictions.iter().map(|prediction| prediction.label).collect();
    Evaluation::new(suite, classes, labels.to_vec(), predicted)
}

pub fn accuracy(labels: &[Label], predictions: &[Prediction]) -> f64 {
    let right = labels.iter().zip(predictions).filter(|(label, p)| **label == p.label).count();
    right as f64 / labels.len().max(1) as f64
}

/// `evaluation` must be that of these predictions.
pub fn metrics(
    names: &[String],
    evaluation: &Evaluation,
    predictions: &[Prediction],
    validation_accuracy: f64,
) -> Metrics {
    let reliability = reliability(evaluation.labels(), predictions);
    Metrics {
        accuracy: evaluation.accuracy(),
        validation_accuracy,
        loss: loss(evaluation.labels(), predictions),
        calibration_error: calibration_error(&reliability),
        per_class: evaluation.per_class(names),
        confusion: evaluation.confusion(),
        reliability,
        misclassified: evaluation.misclassified(),
    }
}

/// Mean negative log-likelihood in nats. A probability that underflowed counts as the smallest `f32`.
fn loss(labels: &[Label], predictions: &[Prediction]) -> f64 {
    let sum: f64 = labels
        .iter()
        .zip(predictions)
        .map(|(&label, prediction)| {
            let probability = prediction.scores.probabilities()[label].max(f32::MIN_POSITIVE);
            -f64::from(probability).ln()
        })
        .sum();
    sum / labels.len().max(1) as f64
}

fn reliability(labels: &[Label], predictions: &[Prediction]) -> Vec<ReliabilityBin> {
    let mut bins = [(0u64, 0.0, 0u64); RELIABILITY_BINS];
    for (&label, prediction) in labels.iter().zip(predictions) {
        let confidence = f64::from(prediction.confidence);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a confidence is within 0..1; 1 falls into the last bin"
        )]
        let bin = ((confidence * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1);
        let (count, sum, right) = &mut bins[bin];
        *count += 1;
        *sum += confidence;
        *right += u64::from(label == prediction.label);
    }
    let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
    bins.map(|(count, sum, right)| ReliabilityBin {
        count,
        mean_confidence: mean(sum, count),
        accuracy: mean(right as f64, count),
    })
    .to_vec()
}

/// Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities", 2015.
fn calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let gaps = bins.iter().map(|bin| bin.count as f64 * (bin.accuracy - bin.mean_confidence).abs());
    gaps.sum::<f64>() / total.max(1) as f64
}

pub fn baseline(classes: usize, split: &Split, predictions: &[Prediction]) -> Baseline {
    let mut baseline = Baseline::new(classes);
    for (image, prediction) in split.images().zip(predictions) {
        baseline.observe(&Features::of(&image), prediction);
    }
    baseline
}

#[cfg(test)]
mod tests {
    use contract::image::Shape;

    use super::*;

    fn predictions(scores: &[[f32; 2]]) -> Vec<Prediction> {
        scores.iter().map(|scores| Scores::new(*scores).unwrap().into()).collect()
    }

    fn names() -> Vec<String> {
        ["a", "b"].map(str::to_owned).to_vec()
    }

    #[test]
    fn loss_and_calibration_are_those_computed_by_hand() {
        let predictions = predictions(&[[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]);
        let labels = [0, 1, 1, 0];
        let evaluation = evaluation("toy".to_owned(), 2, &labels, &predictions).unwrap();
        let metrics = metrics(&names(), &evaluation, &predictions, 0.5);
        assert!((metrics.accuracy - 0.75).abs() < 1e-12);
        assert_eq!(metrics.misclassified, [1]);
        // -(ln 0.9 + ln 0.1 + ln 0.8 + ln 0.5) / 4
        assert!((metrics.loss - 0.831_061).abs() < 1e-5, "{}", metrics.loss);
        // Two at 0.9, half of them right; one at 0.8 and one at 0.5, both right.
        assert!((metrics.calibration_error - (2.0 * 0.4 + 0.2 + 0.5) / 4.0).abs() < 1e-6);
        assert_eq!(metrics.reliability.len(), 15);
        let bin = metrics.reliability[13];
        assert_eq!((bin.count, bin.accuracy), (2, 0.5));
        assert!((bin.mean_confidence - 0.9).abs() < 1e-6);
    }

    #[test]
    fn complete_confidence_falls_into_the_last_bin_and_a_wrong_one_costs_a_finite_loss() {
        let predictions = predictions(&[[1.0, 0.0]]);
        let evaluation = evaluation("toy".to_owned(), 2, &[1], &predictions).unwrap();
        let metrics = metrics(&names(), &evaluation, &predictions, 0.0);
        assert_eq!(metrics.reliability[14].count, 1);
        assert!((metrics.calibration_error - 1.0).abs() < 1e-12);
        assert!(metrics.loss.is_finite() && metrics.loss > 80.0);
    }

    #[test]
    fn predictions_keep_the_order_of_the_images_over_batches() {
        let shape = Shape { height: 1, width: 1, channels: 1 };
        let pixels: Vec<u8> = (0..600).map(|i| u8::try_from(i % 2).unwrap()).collect();
        let labels: Vec<Label> = pixels.iter().map(|&pixel| usize::from(pixel)).collect();
        let split = Split::new(shape, pixels, labels);
        let predictions = predict(&split, |images| {
            let scores = |image: &Image| {
                Scores::new(if image.pixels()[0] == 1 { [0.0, 1.0] } else { [1.0, 0.0] })
            };
            images.iter().map(scores).collect::<Result<Vec<_>, _>>()
        })
        .unwrap();
        assert!((accuracy(split.labels(), &predictions) - 1.0).abs() < 1e-12);
        let baseline = baseline(2, &split, &predictions);
        assert_eq!(baseline.classes, [300, 300]);
        assert_eq!((baseline.ink.total(), baseline.confidence.total()), (600, 600));
    }
}
