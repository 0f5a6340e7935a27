//! `track`: run records on an MLflow server. The records are whole without it, and what is there already is not sent
//! again, so that the same command is the first try, the next one and the repair.

mod artifacts;
mod beside;
mod follow;
mod registry;
mod replay;
mod server;
mod wire;

use std::fmt::Display;
use std::fs::TryLockError;
use std::io::{self, Write as _, stderr};
use std::path::Path;

use anyhow::{Context, bail};
use fs_err::File;

pub(crate) use beside::Args as BesideArgs;
pub(crate) use registry::Args as RegistryArgs;

use self::replay::{Replay, ReplayError};
use self::server::{Address, Passing as _, Server, patiently};
use crate::runs::{Folder, Run};
use crate::told::tell;

/// Send runs to an MLflow server: parameters, metrics, data, Git's commit, artifact, status and times
///
/// What is there already is not sent again; a tag with the run's id finds it. `train` does the same by itself, in a
/// process of its own, where `MLFLOW_TRACKING_URI` is an http(s) address. Who asks is said by
/// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Ids, beginnings of them, or `latest` [default: all]
    #[arg(value_name = "RUN")]
    names: Vec<String>,
    #[command(flatten)]
    runs: Folder,
    #[command(flatten)]
    server: Address,
    /// Experiment they go to [default: the name of their data]
    #[arg(long, env = "MLFLOW_EXPERIMENT_NAME", value_name = "NAME")]
    experiment: Option<String>,
    /// Stay with one run until it ends, sending what is written
    #[arg(long)]
    follow: bool,
    /// The run that this process makes
    #[arg(long, hide = true, requires = "follow", conflicts_with = "names", value_name = "PID")]
    process: Option<u32>,
    /// When that process was started, in milliseconds since 1970; another may have had its number before
    #[arg(long, hide = true, requires = "process", default_value_t = 0, value_name = "MS")]
    since: i64,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let server = Server::at(&self.server);
        if self.follow {
            return self.follow(&server);
        }
        let runs = self.runs.open()?;
        let runs = if self.names.is_empty() {
            runs.all()?
        } else {
            self.names.iter().map(|name| runs.named(name)).collect::<anyhow::Result<_>>()?
        };
        let mut failed = 0;
        for (index, run) in runs.iter().enumerate() {
            let id = &run.record.run_id;
            let Some(_lock) = lock(&run.folder)? else {
                say(format_args!("{id}: another process is sending it"));
                continue;
            };
            match send(&server, self.experiment(run), run) {
                Ok(address) => {
                    tell(format_args!("{id}  {address}"))?;
                }
                Err(error) if error.is_passing() => {
                    let left = runs.len() - index;
                    return Err(error)
                        .with_context(|| format!("{left} of {} runs not sent", runs.len()));
                }
                Err(error) => {
                    say(format_args!("{id}: {error}"));
                    failed += 1;
                }
            }
        }
        if failed > 0 {
            bail!("{failed} of {} runs are not there, or not whole", runs.len());
        }
        Ok(())
    }

    fn experiment<'a>(&'a self, run: &'a Run) -> &'a str {
        self.experiment.as_deref().unwrap_or(&run.record.experiment_name)
    }
}

/// All of it. Returns where a person finds it.
fn send(server: &Server, experiment: &str, run: &Run) -> Result<String, ReplayError> {
    let mut replay = patiently(|| begin(server, experiment, run))?;
    match artifacts::send(server, &replay, run) {
        Err(error) if error.is_passing() => Err(error),
        // An artifact that is gone keeps nobody from learning how the run ended.
        kept => {
            patiently(|| replay.close(run))?;
            kept.map(|()| page(server, &replay))
        }
    }
}

fn begin<'a>(server: &'a Server, experiment: &str, run: &Run) -> Result<Replay<'a>, ReplayError> {
    let mut replay = Replay::open(server, experiment, run)?;
    replay.send(run)?;
    Ok(replay)
}

fn page(server: &Server, replay: &Replay<'_>) -> String {
    let info = &replay.info;
    format!("{server}/#/experiments/{}/runs/{}", info.experiment_id, info.run_id)
}

/// Whoever holds it is the only one here that sends the run; two would both create it. None where another does.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let lock = File::create(folder.join("tracking.lock"))?;
    match lock.file().try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn say(what: impl Display) {
    // Whoever closed stderr does not read it.
    drop(writeln!(stderr(), "{what}"));
}
