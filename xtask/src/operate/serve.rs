//! `serve`: from a fresh clone to an answering service; each step that is done is skipped.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;
use contract::manifest::Manifest;
use contract::task::Task;

use crate::libtorch;
use crate::process::Cmd;
use crate::repo::{Repo, read_task};
use crate::report::{WithHint, step};
use crate::tools::{cargo, git};
use crate::train::{data, training};

/// Do all that is missing, then serve the newest model on 127.0.0.1:8000
///
/// On a fresh clone that is: libtorch, data, a `quick` training. Ctrl-C stops the service.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Artifact folder [default: the one trained last]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    source: data::Source,
    /// What else the service is told, after `--`: `mnist-api serve --help` lists it, such as `--records FILE`
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        demand_free(self.port)?;
        libtorch::ensure(repo)?;
        let artifact = match self.model {
            Some(folder) => {
                Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")?
            }
            None => newest_or_trained(repo, self.source)?,
        };
        let manifest = artifact.manifest();
        step(format_args!(
            "model {} ({}, {:.2} % of test images right): {}",
            manifest.model_version,
            manifest.data.name,
            100.0 * manifest.metrics.accuracy,
            artifact.path().display()
        ));
        step("building the service");
        let service = cargo::build(repo, "app", "mnist-api")?;
        let revision = git::head(repo).map_or_else(|| "unknown".to_owned(), |head| head.revision);
        step(format_args!("serving on http://127.0.0.1:{0} (Ctrl-C stops)", self.port));
        Cmd::new(service, repo.root())
            .arg("serve")
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--model-dir")
            .arg(artifact.path())
            .args(["--drain-pause", "0s", "--revision", &revision])
            .args(self.flags)
            .replace()
    }
}

/// Before minutes of training, not after.
fn demand_free(port: u16) -> anyhow::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .with_context(|| format!("port {port} of 127.0.0.1 cannot be listened on"))
        .hint("stop what uses it, or choose another with `--port`")
}

fn newest_or_trained(repo: &Repo, source: data::Source) -> anyhow::Result<Artifact> {
    let task = read_task(&source.task.path(repo))?;
    if let Some(artifact) = newest(repo, &task) {
        return Ok(artifact);
    }
    step("no artifact yet: training with the `quick` recipe");
    let training = training::Args::of("quick", source);
    let folder = training.trainer(repo)?.read()?;
    Ok(Artifact::open(folder.trim_end().as_ref())?)
}

fn is_of(manifest: &Manifest, task: &Task) -> bool {
    manifest.task == task.trained_on(&manifest.data.name)
}

/// The artifact trained last, if it is whole and of this task.
fn newest(repo: &Repo, task: &Task) -> Option<Artifact> {
    let link = repo.latest_artifact();
    let folder = fs_err::canonicalize(link).ok()?;
    match Artifact::open(&folder) {
        Ok(artifact) if is_of(artifact.manifest(), task) => Some(artifact),
        Ok(artifact) => {
            step(format_args!("{}: of another task, not used", artifact.path().display()));
            None
        }
        Err(error) => {
            step(format_args!("{error}; not used"));
            None
        }
    }
}
