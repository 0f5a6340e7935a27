//! `gate`: whether a model may ship, by a policy in Git and by what its artifact holds. No libtorch and
//! no data: the Evaluation that the trainer stored is all that is compared.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::artifact::Artifact;
use contract::evaluation::Evaluation;
use contract::manifest::Manifest;
use contract::mcnemar::Comparison;
use serde::Deserialize;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::models::Models;
use crate::deliver::remote::{Remote, environment};
use crate::deliver::store::Store;
use crate::repo::Repo;
use crate::report::{WithHint, data};

/// Judge whether a model may ship, by model/gate.yaml
///
/// Every criterion with its number and its limit. `release` judges by the same policy, and by one thing
/// more: that what the image is built from is committed.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Artifact folder, or the artifact's own image as NAME@sha256:… [default: the one trained last]
    #[arg(long, value_name = "DIR|IMAGE")]
    pub(crate) model: Option<String>,
    /// The newest verified model of this environment must not be better
    #[arg(long, default_value = "production", value_name = "ENV")]
    pub(crate) champion: String,
    /// What may ship [default: model/gate.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(flatten)]
    pub(crate) store: Store,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.judge(repo))
    }

    fn judge(&self, repo: &Repo) -> Result<(), Stop> {
        let gate = Gate::read(&self.policy.clone().unwrap_or_else(|| repo.gate()))?;
        let snapshot = self.remote.snapshot(repo)?;
        let champion = snapshot.history(&environment(&snapshot, &self.champion)?);
        let scratch = tempfile::tempdir().context("making a folder for artifacts")?;
        let models = Models { repo, store: &self.store, scratch: scratch.path() };
        let candidate = Candidate::of(&models.candidate(self.model.as_deref())?)?;
        let champion = models.champion(&champion)?;
        let champion = champion.as_ref().map(Candidate::of).transpose()?;
        let judgement = gate.judge(&candidate, champion.as_ref());
        data(&judgement);
        if judgement.passed() {
            return Ok(());
        }
        let refused = anyhow::anyhow!("this model may not ship");
        Err(Stop::new(Ending::Findings, refused, "model/gate.yaml says why each limit is there"))
    }
}

/// The policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gate {
    data: Vec<String>,
    /// 0 to 1.
    min_accuracy: f64,
    /// 0 to 1.
    champion_significance: f64,
    max_latency: LatencyBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyBudget {
    batch: usize,
    microseconds_per_image: f64,
}

/// What an artifact says of its model.
#[derive(Debug)]
pub(crate) struct Candidate {
    manifest: Manifest,
    evaluation: Evaluation,
}

/// Every criterion, whether it holds, and by which numbers.
#[derive(Debug, Default)]
pub(crate) struct Judgement(Vec<(bool, String)>);

impl Candidate {
    pub(crate) fn of(artifact: &Artifact) -> anyhow::Result<Self> {
        Ok(Self { manifest: artifact.manifest().clone(), evaluation: artifact.evaluation()? })
    }
}

impl Gate {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs_err::read_to_string(file)?;
        Self::from_yaml(&text)
            .with_context(|| format!("in `{}`", file.display()))
            .hint("the shipped model/gate.yaml says what each field is")
    }

    fn from_yaml(text: &str) -> anyhow::Result<Self> {
        let gate: Self = serde_yaml::from_str(text)?;
        let mut mistakes = Vec::new();
        let mut demand = |holds: bool, mistake: &str| {
            if !holds {
                mistakes.push(mistake.to_owned());
            }
        };
        let share = 0.0..=1.0;
        demand(!gate.data.is_empty(), "data: no model could ever ship");
        demand(share.contains(&gate.min_accuracy), "min_accuracy is not within 0..1");
        let significance = &gate.champion_significance;
        demand(share.contains(significance), "champion_significance is not within 0..1");
        let budget = gate.max_latency;
        demand(budget.batch > 0, "max_latency.batch is no number of images");
        demand(
            budget.microseconds_per_image > 0.0,
            "max_latency.microseconds_per_image leaves no time",
        );
        if mistakes.is_empty() { Ok(gate) } else { bail!("{}", mistakes.join("; ")) }
    }

    pub(crate) fn judge(&self, candidate: &Candidate, champion: Option<&Candidate>) -> Judgement {
        let mut judgement = Judgement::default();
        let manifest = &candidate.manifest;
        let name = &manifest.data.name;
        let allowed = self.data.join(", ");
        judgement.add(
            self.data.contains(name),
            format!("trained on `{name}`; data that may ship: {allowed}"),
        );
        let (accuracy, least) = (candidate.evaluation.accuracy(), self.min_accuracy);
        judgement.add(
            accuracy >= least,
            format!("accuracy {:.2} %; at least {:.2} %", 100.0 * accuracy, 100.0 * least),
        );
        self.compare(candidate, champion, &mut judgement);
        let LatencyBudget { batch, microseconds_per_image: most } = self.max_latency;
        match manifest.latency.iter().find(|latency| latency.batch == batch) {
            Some(latency) => {
                let found = latency.microseconds_per_image;
                judgement.add(
                    found <= most,
                    format!("{found:.0} µs per image at batch {batch}; at most {most:.0} µs"),
                );
            }
            None => judgement.add(false, format!("no latency was measured at batch {batch}")),
        }
        judgement
    }

    fn compare(
        &self,
        candidate: &Candidate,
        champion: Option<&Candidate>,
        judgement: &mut Judgement,
    ) {
        let Some(champion) = champion else {
            return judgement.add(true, "there is no champion yet to be compared with".to_owned());
        };
        let version = &champion.manifest.model_version;
        match Comparison::of(&candidate.evaluation, &champion.evaluation) {
            Ok(Comparison { gained, lost, p_value }) => judgement.add(
                p_value > self.champion_significance,
                format!(
                    "against the champion {version}: {gained} images gained, {lost} lost, \
                     p = {p_value:.3}; worse at {} or below",
                    self.champion_significance
                ),
            ),
            Err(reason) => judgement
                .add(false, format!("it cannot be compared with the champion {version}: {reason}")),
        }
    }
}

impl Judgement {
    pub(crate) fn add(&mut self, holds: bool, sentence: String) {
        self.0.push((holds, sentence));
    }

    pub(crate) fn passed(&self) -> bool {
        self.0.iter().all(|(holds, _)| *holds)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(holds, sentence): &(bool, String)| {
            format!("{} {sentence}", if *holds { "holds:" } else { "fails:" })
        };
        let lines: Vec<_> = self.0.iter().map(line).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_is_valid() {
        Gate::read(&Repo::here().gate()).unwrap();
    }

    #[test]
    fn all_impossible_limits_are_told_together_and_a_typo_by_its_place() {
        let policy = "data: []\nmin_accuracy: 98.5\nchampion_significance: -1\n\
                      max_latency: { batch: 0, microseconds_per_image: .nan }\n";
        let error = format!("{:#}", Gate::from_yaml(policy).unwrap_err());
        for field in ["data", "min_accuracy", "champion_significance", "batch", "microseconds"] {
            assert!(error.contains(field), "{field}: {error}");
        }
        let error = Gate::from_yaml("data: [a]\nmin_acuracy: 0.9\n").unwrap_err().to_string();
        assert!(error.contains("min_acuracy") && error.contains("line 2"), "{error}");
    }
}
