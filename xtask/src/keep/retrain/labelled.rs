//! [`Labelled`]: pictures that callers labelled, gathered into the checkout and versioned there.

use std::path::PathBuf;

use anyhow::{Context, bail};
use contract::artifact::Artifact;

use crate::keep;
use crate::repo::{LABELLED, Repo};
use crate::report::WithHint;

/// What Git gets of them.
pub(super) const POINTER: &str = "model/data/feedback.dvc";

#[derive(clap::Args)]
pub(super) struct Labelled {
    /// Logs of the service, oldest first: what callers labelled since the last time
    #[arg(long, num_args = 1.., requires = "records", value_name = "LOG")]
    feedback: Vec<PathBuf>,
    /// Records of the service with the pixels that it sampled; the gate replays them
    #[arg(long, num_args = 1.., requires = "feedback", value_name = "LOG")]
    pub(super) records: Vec<PathBuf>,
    /// Most pictures that one caller may label
    #[arg(long, requires = "feedback", value_name = "N")]
    per_client: Option<usize>,
    /// Most pictures of a class, as a share of what the champion was trained on of each class on average
    #[arg(long, requires = "feedback", value_name = "SHARE")]
    share: Option<f64>,
}

impl Labelled {
    /// What became of the labels. None where there are none to gather and none were gathered before.
    pub(super) fn gather(
        &self,
        repo: &Repo,
        champion: impl FnOnce() -> anyhow::Result<Option<Artifact>>,
    ) -> anyhow::Result<Option<String>> {
        if self.feedback.is_empty() {
            return Ok(None);
        }
        if !repo.path(".dvc/config").is_file() {
            return Err(anyhow::anyhow!("nothing says where labelled pictures are kept"))
                .hint("`cargo xtask data push --help` describes .dvc/config; commit it");
        }
        let Some(champion) = champion()? else {
            bail!("no model was verified that callers could label")
        };
        if repo.path(POINTER).is_file() {
            keep::data(repo)?.args(["pull", LABELLED]).run()?;
        }
        let mut feedback = keep::mlops(repo)?.args(["feedback", "--model"]).arg(champion.path());
        feedback = feedback.arg("--out").arg(repo.path(LABELLED));
        feedback =
            feedback.arg("--feedback").args(&self.feedback).arg("--records").args(&self.records);
        if let Some(most) = self.per_client {
            feedback = feedback.args(["--per-client", &most.to_string()]);
        }
        if let Some(share) = self.share {
            feedback = feedback.args(["--share", &share.to_string()]);
        }
        let told = feedback.read().context("gathering what callers labelled")?;
        if repo.path(LABELLED).is_dir() {
            keep::data(repo)?.args(["add", LABELLED]).run()?;
        }
        Ok(repo.path(POINTER).is_file().then(|| told.trim_end().to_owned()))
    }

    /// Where a branch says that they are.
    pub(super) fn push(&self, repo: &Repo) -> anyhow::Result<()> {
        if self.feedback.is_empty() || !repo.path(POINTER).is_file() {
            return Ok(());
        }
        keep::data(repo)?.args(["push", LABELLED]).run()
    }
}
