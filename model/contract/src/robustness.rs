//! [`Robustness`]: how a model does on test images that were changed in a way that keeps their class, so that a
//! gate needs neither libtorch nor the images to compare two models on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;

/// What is done to a picture. How much of it is the trainer's choice and part of the [`Evaluation`]'s suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perturbation {
    Shift,
    Rotate,
    Thicken,
    Noise,
    Invert,
}

impl Perturbation {
    pub const ALL: [Self; 5] =
        [Self::Shift, Self::Rotate, Self::Thicken, Self::Noise, Self::Invert];

    pub fn name(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::Rotate => "rotate",
            Self::Thicken => "thicken",
            Self::Noise => "noise",
            Self::Invert => "invert",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// By the perturbation's name. One that a later trainer adds is passed over by whoever does not know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Robustness(BTreeMap<String, Evaluation>);

impl Robustness {
    pub fn of(&self, perturbation: Perturbation) -> Option<&Evaluation> {
        self.0.get(perturbation.name())
    }
}

impl FromIterator<(Perturbation, Evaluation)> for Robustness {
    fn from_iter<T: IntoIterator<Item = (Perturbation, Evaluation)>>(evaluations: T) -> Self {
        let named = |(perturbation, evaluation): (Perturbation, _)| {
            (perturbation.name().to_owned(), evaluation)
        };
        Self(evaluations.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perturbation_that_nobody_knows_yet_is_passed_over() {
        let evaluation = r#"{"suite":"toy","classes":2,"labels":[0],"predicted":[1]}"#;
        let json = format!(r#"{{"noise":{evaluation},"from-the-future":{evaluation}}}"#);
        let robustness: Robustness = serde_json::from_str(&json).unwrap();
        let wrong = |found: &Evaluation| found.misclassified().len();
        assert_eq!(robustness.of(Perturbation::Noise).map(wrong), Some(1));
        assert_eq!(robustness.of(Perturbation::Shift), None);
    }

    #[test]
    fn every_perturbation_is_found_by_its_name() {
        for perturbation in Perturbation::ALL {
            assert_eq!(Perturbation::named(perturbation.name()), Some(perturbation));
        }
        assert_eq!(Perturbation::named("shfit"), None);
    }
}
