//! `gate`: whether a model may ship, by a policy in Git and by what its artifact holds. That needs neither
//! libtorch nor data, since the trainer stored every answer that is compared; where records are replayed, the
//! models answer themselves.

mod criteria;
mod evidence;
mod judgement;
mod policy;
mod report;

use std::path::Path;

use anyhow::Context;
use contract::artifact::{Artifact, MANIFEST};

pub(crate) use self::evidence::Evidence;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::models::Models;
use crate::deliver::remote::{Remote, environment};
use crate::deliver::store::Store;
use crate::repo::Repo;
use crate::report::data;

/// Judge whether a model may ship, by model/gate.yaml
///
/// Every criterion with its number and its limit: accuracy, on all images, class by class and on perturbed ones;
/// calibration; time; and where records of a service are given, how much of it would be answered otherwise.
/// `release` judges by the same policy, and by one thing more: that what the image is built from is committed.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Artifact folder, or the artifact's own image as NAME@sha256:… [default: the one trained last]
    #[arg(value_name = "DIR|IMAGE")]
    pub(crate) candidate: Option<String>,
    /// What must not be better: the newest verified model of this environment, or an artifact
    #[arg(long, default_value = "production", value_name = "ENV|DIR|IMAGE")]
    pub(crate) against: String,
    #[command(flatten)]
    pub(crate) evidence: Evidence,
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
        let evidence = self.evidence.open(repo)?;
        let scratch = tempfile::tempdir().context("making a folder for artifacts")?;
        let models = Models { repo, store: &self.store, scratch: scratch.path() };
        let candidate = models.candidate(self.candidate.as_deref())?;
        let champion = self.champion(repo, &models)?;
        let judgement = evidence.judge(&candidate, champion.as_ref())?;
        evidence.report(&judgement)?;
        data(&judgement);
        if judgement.passed() {
            return Ok(());
        }
        let refused = anyhow::anyhow!("this model may not ship");
        Err(Stop::new(Ending::Findings, refused, "model/gate.yaml says why each limit is there"))
    }

    /// Main is not asked where an artifact is named.
    fn champion(&self, repo: &Repo, models: &Models<'_>) -> Result<Option<Artifact>, Stop> {
        let name = &self.against;
        if name.contains(['/', '@']) || Path::new(name).join(MANIFEST).is_file() {
            return Ok(Some(models.candidate(Some(name))?));
        }
        let snapshot = self.remote.snapshot(repo)?;
        let environment = environment(&snapshot, name)?;
        Ok(models.champion(&snapshot.history(&environment))?)
    }
}
