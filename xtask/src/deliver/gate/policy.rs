//! [`Gate`]: the policy, as its file has it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use contract::robustness::Perturbation;
use serde::Deserialize;

use crate::report::WithHint;

/// Shares and probabilities are of 1. Nothing is optional: a limit that nobody set would be one that nobody
/// knows to be missing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub(super) data: Vec<String>,
    pub(super) min_accuracy: f64,
    pub(super) champion_significance: f64,
    pub(super) class_significance: f64,
    pub(super) max_calibration_error: f64,
    robustness: BTreeMap<String, Robust>,
    pub(super) replay: ReplayLimits,
    pub(super) max_latency: LatencyBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Robust {
    pub(super) min_accuracy: f64,
    /// Of accuracy against the champion's: less is not held against the candidate, whatever its probability.
    pub(super) max_loss: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayLimits {
    /// Fewer pictures say nothing.
    pub(super) min_images: u64,
    pub(super) max_flips: f64,
    /// Whether saying nothing refuses.
    pub(super) required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LatencyBudget {
    pub(super) batch: usize,
    pub(super) microseconds_per_image: f64,
}

impl Gate {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs_err::read_to_string(file)?;
        Self::from_yaml(&text)
            .with_context(|| format!("in `{}`", file.display()))
            .hint("the shipped model/gate.yaml says what each field is")
    }

    fn from_yaml(text: &str) -> anyhow::Result<Self> {
        let gate: Self = serde_yaml::from_str(text)?;
        let mistakes = gate.mistakes();
        if mistakes.is_empty() { Ok(gate) } else { bail!("{}", mistakes.join("; ")) }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut demand = |holds: bool, mistake: String| {
            if !holds {
                mistakes.push(mistake);
            }
        };
        demand(!self.data.is_empty(), "data: no model could ever ship".to_owned());
        let mut shares = vec![
            ("min_accuracy".to_owned(), self.min_accuracy),
            ("champion_significance".to_owned(), self.champion_significance),
            ("class_significance".to_owned(), self.class_significance),
            ("max_calibration_error".to_owned(), self.max_calibration_error),
            ("replay.max_flips".to_owned(), self.replay.max_flips),
        ];
        for (name, limits) in &self.robustness {
            let known = Perturbation::ALL.map(Perturbation::name).join(", ");
            demand(
                Perturbation::named(name).is_some(),
                format!("robustness.{name}: no perturbation is called so; there are {known}"),
            );
            shares.push((format!("robustness.{name}.min_accuracy"), limits.min_accuracy));
            shares.push((format!("robustness.{name}.max_loss"), limits.max_loss));
        }
        for (field, share) in shares {
            demand((0.0..=1.0).contains(&share), format!("{field} is not within 0..1"));
        }
        let budget = self.max_latency;
        demand(budget.batch > 0, "max_latency.batch is no number of images".to_owned());
        demand(
            budget.microseconds_per_image > 0.0,
            "max_latency.microseconds_per_image leaves no time".to_owned(),
        );
        mistakes
    }

    /// None where models are not judged by it.
    pub(super) fn robust(&self, perturbation: Perturbation) -> Option<Robust> {
        self.robustness.get(perturbation.name()).copied()
    }

    pub(super) fn judges_robustness(&self) -> bool {
        !self.robustness.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn the_shipped_policy_is_valid() {
        Gate::read(&Repo::here().gate()).unwrap();
    }

    #[test]
    fn all_impossible_limits_are_told_together_and_a_typo_by_its_place() {
        let policy = "data: []\nmin_accuracy: 98.5\nchampion_significance: -1\nclass_significance: 2\n\
                      max_calibration_error: .nan\n\
                      robustness:\n  shfit: { min_accuracy: 0.9, max_loss: 0.1 }\n  \
                      noise: { min_accuracy: 90, max_loss: -1 }\n\
                      replay: { min_images: 1, max_flips: 5, required: true }\n\
                      max_latency: { batch: 0, microseconds_per_image: .nan }\n";
        let error = format!("{:#}", Gate::from_yaml(policy).unwrap_err());
        for field in [
            "data",
            "min_accuracy",
            "champion_significance",
            "class_significance",
            "max_calibration_error",
            "robustness.shfit: no perturbation is called so; there are shift, rotate",
            "robustness.noise.min_accuracy",
            "robustness.noise.max_loss",
            "replay.max_flips",
            "batch",
            "microseconds",
        ] {
            assert!(error.contains(field), "{field}: {error}");
        }
        assert!(!error.contains("shfit.min_accuracy"), "{error}");
        let error = Gate::from_yaml("data: [a]\nmin_acuracy: 0.9\n").unwrap_err().to_string();
        assert!(error.contains("min_acuracy") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_policy_without_one_of_the_limits_is_not_one() {
        let shipped = fs_err::read_to_string(Repo::here().gate()).unwrap();
        for field in
            ["class_significance", "max_calibration_error", "robustness", "replay", "max_latency"]
        {
            let mut policy: serde_yaml::Mapping = serde_yaml::from_str(&shipped).unwrap();
            policy.remove(field).unwrap();
            let text = serde_yaml::to_string(&policy).unwrap();
            let error = Gate::from_yaml(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
