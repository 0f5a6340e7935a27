//! What a model says of one image: [`Scores`], and the [`Prediction`] read from them.

/// Index of a class in the task's list of class names.
pub type Label = usize;

/// One probability per class, in the order of the task's classes, summing to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores(Box<[f32]>);

#[derive(Debug, thiserror::Error)]
#[error("the model returned {0}, not a probability per class")]
pub struct NotProbabilities(String);

/// How far a sum of `f32` probabilities may be from 1 before it is no longer rounding.
const SUM_TOLERANCE: f32 = 1e-3;

impl Scores {
    pub fn new(probabilities: impl Into<Box<[f32]>>) -> Result<Self, NotProbabilities> {
        let probabilities = probabilities.into();
        if probabilities.is_empty() {
            return Err(NotProbabilities("no values".to_owned()));
        }
        if let Some(wrong) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(NotProbabilities(format!("the value {wrong}")));
        }
        let sum: f32 = probabilities.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(NotProbabilities(format!("values that sum to {sum}")));
        }
        Ok(Self(probabilities))
    }

    pub fn probabilities(&self) -> &[f32] {
        &self.0
    }

    /// Shannon entropy in nats: 0 when certain, ln(classes) when clueless.
    pub fn entropy(&self) -> f32 {
        self.0.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    pub label: Label,
    /// Probability of `label`, 0 to 1.
    pub confidence: f32,
    pub scores: Scores,
}

impl From<Scores> for Prediction {
    /// The likeliest class; of equals, the first.
    fn from(scores: Scores) -> Self {
        let (mut label, mut confidence) = (0, f32::NEG_INFINITY);
        for (i, &p) in scores.0.iter().enumerate() {
            if p > confidence {
                (label, confidence) = (i, p);
            }
        }
        Self { label, confidence, scores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_class_is_predicted_and_the_first_of_equals() {
        let prediction = Prediction::from(Scores::new([0.2, 0.4, 0.4]).unwrap());
        assert_eq!((prediction.label, prediction.confidence), (1, 0.4));
    }

    #[test]
    fn scores_that_are_not_probabilities_are_refused() {
        for wrong in [vec![], vec![f32::NAN, 1.0], vec![-0.1, 1.1], vec![0.5, 0.4]] {
            assert!(Scores::new(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn entropy_is_zero_when_certain_and_the_logarithm_of_classes_when_clueless() {
        assert!(Scores::new([1.0, 0.0]).unwrap().entropy().abs() < 1e-6);
        let clueless = Scores::new([0.25; 4]).unwrap().entropy();
        assert!((clueless - 4f32.ln()).abs() < 1e-6);
    }
}
