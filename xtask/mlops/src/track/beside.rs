//! [`Tracking`]: runs that another command of this program makes, told as they come. What fails here is one line; it
//! keeps nobody waiting, and `track` sends the rest later.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use anyhow::Context;
use fs_err::File;

use super::follow::step;
use super::replay::Replay;
use super::server::{Caller, Passing as _, Server, address, patiently};
use super::{lock, say, send};
use crate::runs::{Run, Standing};

/// Where a server may be told, if one is named.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// MLflow server that is told of the runs: http(s)://HOST:PORT
    #[arg(long, env = "MLFLOW_TRACKING_URI", value_name = "URL")]
    tracking_uri: Option<String>,
    #[command(flatten)]
    caller: Caller,
    /// Experiment they go to [default: the name of their data]
    #[arg(long, env = "MLFLOW_EXPERIMENT_NAME", value_name = "NAME")]
    experiment: Option<String>,
}

impl Args {
    pub(crate) fn tracking(self) -> anyhow::Result<Option<Tracking>> {
        let Some(uri) = self.tracking_uri.filter(|uri| !uri.is_empty()) else { return Ok(None) };
        let uri = address(&uri).map_err(anyhow::Error::msg).context("MLFLOW_TRACKING_URI")?;
        let server = Server::of(&uri, &self.caller);
        Ok(Some(Tracking { server, experiment: self.experiment }))
    }
}

pub(crate) struct Tracking {
    server: Server,
    /// Else that of each run.
    experiment: Option<String>,
}

impl Tracking {
    /// The runs in these folders, each as it stands when its turn comes. After the first that did not reach the server
    /// no other is tried.
    pub(crate) fn send_all(&self, folders: &Receiver<PathBuf>) {
        let mut live = BTreeMap::new();
        while let Ok(first) = folders.recv() {
            // All that wait, before the first is read: it is then sent as whoever told of it last had it.
            let waiting: Vec<PathBuf> = iter::once(first).chain(folders.try_iter()).collect();
            let mut sent = BTreeSet::new();
            for folder in waiting.iter().filter(|folder| sent.insert(*folder)) {
                if let Err(error) = self.send(folder, &mut live) {
                    let error = error.to_string();
                    let first = error.lines().next().unwrap_or_default();
                    say(format_args!(
                        "not tracked: {first}; `cargo xtask track` sends what is missing"
                    ));
                    return;
                }
            }
        }
    }

    /// What the server has of a run that goes on is known the next time.
    fn send<'a>(
        &'a self,
        folder: &Path,
        live: &mut BTreeMap<PathBuf, (File, Replay<'a>)>,
    ) -> anyhow::Result<()> {
        let (lock, replay) = match live.remove(folder) {
            Some((lock, replay)) => (lock, Some(replay)),
            None => match lock(folder)? {
                Some(lock) => (lock, None),
                None => return Ok(()),
            },
        };
        let run = Run::read(folder)?;
        let experiment = self.experiment.as_deref().unwrap_or(&run.record.experiment_name);
        let sent = if run.standing == Standing::Running {
            let step = |known| step(&self.server, experiment, &run, known);
            // Another machine may have deleted it as a twin of its own.
            let known = replay.and_then(|known| step(Some(known)).ok());
            known.map_or_else(|| patiently(|| step(None)), Ok).map(|replay| {
                live.insert(folder.to_owned(), (lock, replay));
            })
        } else {
            send(&self.server, experiment, &run).map(drop)
        };
        match sent {
            Err(error) if error.is_passing() => Err(error.into()),
            Err(error) => {
                say(format_args!("{}: {error}", run.record.run_id));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
