//! [`Evidence`]: the options by which `gate` and `release` judge alike, and what they lead to.

use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;
use contract::replay::Replay;

use super::criteria::Candidate;
use super::judgement::{Judgement, Replayed};
use super::policy::Gate;
use super::report;
use crate::libtorch;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::step;
use crate::tools::cargo;

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Evidence {
    /// What may ship [default: model/gate.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Records of a service, gzip or not: both models answer their sampled pictures again
    #[arg(long, value_name = "LOG", num_args = 1..)]
    pub(crate) records: Vec<PathBuf>,
    /// Pictures that callers labelled, in a folder per class: an answer that becomes what they said is no flip
    #[arg(long, value_name = "DIR", requires = "records")]
    pub(crate) labelled: Option<PathBuf>,
    /// Write the judgement here, too, for people: gate.md, and a picture of what records became otherwise
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// Looked at before anything is fetched or built: the policy can be read, and the report has a place.
pub(crate) struct Opened<'a> {
    evidence: &'a Evidence,
    repo: &'a Repo,
    gate: Gate,
}

impl Evidence {
    pub(crate) fn open<'a>(&'a self, repo: &'a Repo) -> anyhow::Result<Opened<'a>> {
        let gate = Gate::read(&self.policy.clone().unwrap_or_else(|| repo.gate()))?;
        if let Some(folder) = &self.report {
            report::demand_place(folder)?;
        }
        Ok(Opened { evidence: self, repo, gate })
    }
}

impl Opened<'_> {
    pub(crate) fn judge(
        &self,
        candidate: &Artifact,
        champion: Option<&Artifact>,
    ) -> anyhow::Result<Judgement> {
        let replayed = match champion {
            Some(champion) if self.asks_for_replay() && alike(candidate, champion) => {
                Some(self.replay(candidate, champion)?)
            }
            _ => None,
        };
        let differ = champion.is_some_and(|champion| !alike(candidate, champion));
        let candidate = Candidate::of(candidate)?;
        let champion = champion.map(Candidate::of).transpose()?;
        let mut judgement = self.gate.judge(candidate, champion, replayed);
        if self.asks_for_replay() && differ {
            let told = "records cannot be replayed: the champion is for other images or classes";
            judgement.add(false, told.to_owned());
        }
        Ok(judgement)
    }

    fn asks_for_replay(&self) -> bool {
        !self.evidence.records.is_empty()
    }

    pub(crate) fn report(&self, judgement: &Judgement) -> anyhow::Result<()> {
        let Some(folder) = &self.evidence.report else { return Ok(()) };
        report::write(judgement, folder)
    }

    /// By the trainer, which alone can run a model.
    fn replay(&self, candidate: &Artifact, champion: &Artifact) -> anyhow::Result<Replayed> {
        libtorch::ensure(self.repo)?;
        step("building the trainer");
        let folder = tempfile::tempdir().context("making a folder for a picture")?;
        let sheet = folder.path().join("flips.svg");
        let mut model =
            Cmd::new(cargo::build(self.repo, "model", "model")?, &std::env::current_dir()?)
                .arg("replay")
                .arg("--candidate")
                .arg(candidate.path())
                .arg("--champion")
                .arg(champion.path())
                .arg("--sheet")
                .arg(&sheet);
        if let Some(folder) = &self.evidence.labelled {
            model = model.arg("--labelled").arg(folder);
        }
        model = model.arg("--").args(&self.evidence.records);
        let answers: Replay = serde_json::from_str(&model.read()?)
            .context("reading what both models said of the records")?;
        Ok(Replayed { answers, sheet: fs_err::read_to_string(&sheet)? })
    }
}

/// Only such models answer the same pictures.
fn alike(one: &Artifact, other: &Artifact) -> bool {
    let [one, other] = [one, other].map(|artifact| &artifact.manifest().task);
    (one.input, &one.classes) == (other.input, &other.classes)
}
