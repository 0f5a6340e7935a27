//! [`Drift`]: how far the newest predictions are from the model's baseline, as gauges. The window is bounded, so
//! memory and the work of a scrape do not depend on traffic.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use contract::baseline::{Baseline, CLASS, SIGNALS};
use contract::drift::{ks, psi};
use prometheus::{GaugeVec, IntGauge};

use crate::answer::Answer;

/// Of fewer images nothing is said: chance alone moves PSI by (bins − 1) / images.
const LEAST: usize = 200;

#[derive(Debug)]
pub struct Drift {
    baseline: Baseline,
    images: usize,
    window: Mutex<Window>,
    scores: GaugeVec,
    observed: IntGauge,
}

#[derive(Debug)]
struct Window {
    newest: VecDeque<[u16; SIGNALS.len()]>,
    counts: [Vec<u64>; SIGNALS.len()],
}

impl Drift {
    /// Over so many images. `scores` has the labels `signal` and `statistic`.
    pub fn new(baseline: Baseline, images: usize, scores: GaugeVec, observed: IntGauge) -> Self {
        let bins = baseline.distributions().map(|counts| vec![0; counts.len()]);
        let window = Window { newest: VecDeque::with_capacity(images), counts: bins };
        Self { baseline, images, window: Mutex::new(window), scores, observed }
    }

    pub fn observe(&self, answer: &Answer) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        for (features, prediction) in answer.features.iter().zip(&answer.predictions) {
            let bins = self.baseline.bins(*features, prediction.confidence, prediction.label);
            // No distribution has that many bins.
            window.push(bins.map(|bin| u16::try_from(bin).unwrap_or(u16::MAX)), self.images);
        }
    }

    /// Brings the gauges up to date.
    pub fn gauge(&self) {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = window.newest.len();
        self.observed.set(i64::try_from(observed).unwrap_or(i64::MAX));
        let enough = observed >= LEAST.min(self.images);
        let references = self.baseline.distributions();
        for (index, (signal, reference)) in SIGNALS.into_iter().zip(references).enumerate() {
            let live = &window.counts[index];
            let stable = enough.then(|| psi(reference, live)).flatten();
            let distance = enough.then(|| ks(reference, live)).flatten();
            let set = |statistic, value: Option<f64>| {
                self.scores.with_label_values(&[signal, statistic]).set(value.unwrap_or(f64::NAN));
            };
            set("psi", stable);
            if index != CLASS {
                set("ks", distance);
            }
        }
    }
}

impl Window {
    fn push(&mut self, bins: [u16; SIGNALS.len()], limit: usize) {
        if self.newest.len() >= limit
            && let Some(oldest) = self.newest.pop_front()
        {
            self.count(oldest, |count| *count = count.saturating_sub(1));
        }
        self.newest.push_back(bins);
        self.count(bins, |count| *count += 1);
    }

    fn count(&mut self, bins: [u16; SIGNALS.len()], change: impl Fn(&mut u64)) {
        for (counts, bin) in self.counts.iter_mut().zip(bins) {
            if let Some(count) = counts.get_mut(usize::from(bin)) {
                change(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::features::Features;
    use contract::prediction::{Prediction, Scores};
    use prometheus::Opts;

    use super::*;
    use crate::answer::Timings;

    /// Of a window of 400, after so many images of that ink were answered.
    fn drift(of: &[(usize, f32)]) -> [f64; 2] {
        let mut baseline = Baseline::new(2);
        let answer = |ink| {
            let features = Features { ink, bbox: 0.5, entropy: 1.0 };
            let prediction = Prediction::from(Scores::new([0.9, 0.1]).unwrap());
            (features, prediction)
        };
        for n in 0..1000u16 {
            let (features, prediction) = answer(0.1 + f32::from(n % 10) / 100.0);
            baseline.observe(&features, &prediction);
        }
        let scores = GaugeVec::new(Opts::new("a", "a"), &["signal", "statistic"]).unwrap();
        let drift = Drift::new(baseline, 400, scores, IntGauge::new("b", "b").unwrap());
        for &(images, ink) in of {
            for n in 0..images {
                let (features, prediction) = answer(ink + (n % 10) as f32 / 100.0);
                let [decode, queue, infer] = Default::default();
                drift.observe(&Answer {
                    predictions: vec![prediction],
                    images: Vec::new(),
                    features: vec![features],
                    timings: Timings { read: decode, decode, queue, infer },
                    batch: 1,
                });
            }
        }
        drift.gauge();
        ["psi", "ks"].map(|statistic| drift.scores.with_label_values(&["ink", statistic]).get())
    }

    #[test]
    fn pictures_like_those_of_the_training_are_near() {
        let [psi, ks] = drift(&[(400, 0.1)]);
        assert!(psi < 0.1 && ks < 0.1, "{psi} {ks}");
    }

    #[test]
    fn other_pictures_are_far_away_and_only_the_newest_count() {
        let [psi, ks] = drift(&[(400, 0.1), (400, 0.6)]);
        assert!(psi > 1.0 && ks > 0.9, "{psi} {ks}");
        let [psi, ks] = drift(&[(400, 0.6), (400, 0.1)]);
        assert!(psi < 0.1 && ks < 0.1, "{psi} {ks}");
    }

    #[test]
    fn of_a_few_pictures_nothing_is_said() {
        assert!(drift(&[(LEAST - 1, 0.6)]).into_iter().all(f64::is_nan));
        assert!(drift(&[(LEAST, 0.6)]).into_iter().all(f64::is_finite));
    }
}
