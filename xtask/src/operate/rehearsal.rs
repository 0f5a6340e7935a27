//! What `demo` and `drill` play on: a repository, models and services of their own, in a folder that is gone
//! afterwards. Real Git, real kustomize, real models and the real service; what stands in for Argo CD and Kubernetes
//! is [`crate::reconciler`], and transcripts say so.

pub(in crate::operate) mod live;
pub(in crate::operate) mod models;
pub(in crate::operate) mod script;
pub(in crate::operate) mod stage;
pub(in crate::operate) mod transcript;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use gitops::environment::Environment;

use self::models::Workshop;
use self::script::{PRODUCTION, STAGING};
use self::stage::Stage;
use crate::repo::{Repo, read_task};
use crate::report::Exit;

/// As shells tell it.
const INTERRUPTION: u8 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, or SIGTERM, ends whatever waits, and nothing is begun after it; so everything is put away.
pub(in crate::operate) fn end_on_interrupt() -> anyhow::Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst)).context("watching for Ctrl-C")
}

pub(in crate::operate) fn demand_uninterrupted() -> anyhow::Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        let message = "interrupted; what was made is put away".to_owned();
        return Err(Exit { code: INTERRUPTION, message }.into());
    }
    Ok(())
}

/// A fork at its beginning, at a pace to be watched, with the policy that its models can meet.
pub(in crate::operate) fn begin(
    repo: &Repo,
    stage: &Stage,
    workshop: &Workshop<'_>,
) -> anyhow::Result<[Environment; 2]> {
    stage.begin()?;
    let known = stage.publication().remote.snapshot(repo)?;
    let named = |name| Ok::<_, anyhow::Error>(known.environments().parse(name)?);
    let environments = [named(STAGING)?, named(PRODUCTION)?];
    for environment in &environments {
        stage.prepare(environment, live::PROGRESS_DEADLINE)?;
    }
    let task = read_task(&repo.task_file())?;
    stage.adapt_policy(task.data.synthetic.filter(|_| workshop.is_synthetic()))?;
    stage.commit("The pace of a rehearsal, and what may ship in it")?;
    Ok(environments)
}
