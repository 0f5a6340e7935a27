//! A run while it is written. The training knows nothing of it: what fails here is one line, and `track` sends the
//! rest later.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use contract::atomic;
use contract::run::{self, Record};

use super::replay::{Replay, ReplayError};
use super::server::Server;
use super::{Args, begin, lock, page, say, send};
use crate::runs::{Run, Standing};

const LOOK: Duration = Duration::from_millis(500);
/// Between tries of a server that did not take it; each that fails doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Args {
    pub(super) fn follow(&self, server: &Server) -> anyhow::Result<()> {
        let folder = match (self.process, &self.names[..]) {
            (Some(process), _) => match begun_by(process, self.since, self.runs.path())? {
                Some(folder) => folder,
                // It ended before there was anything to tell.
                None => return Ok(()),
            },
            (None, [name]) => self.runs.open()?.named(name)?.folder,
            (None, _) => bail!("one run can be followed, and it must be named: an id, or `latest`"),
        };
        let Some(_lock) = lock(&folder)? else {
            bail!("another process is sending `{}`", folder.display());
        };
        let ended = self.to_the_end(server, &folder);
        // Whoever started it with a training has been told.
        if self.process.is_some() { Ok(()) } else { Ok(ended?) }
    }

    fn to_the_end(&self, server: &Server, folder: &Path) -> anyhow::Result<()> {
        let mut live: Option<Replay<'_>> = None;
        let (mut is_told, mut is_in_trouble) = (false, false);
        let (mut pause, mut next) = (PAUSE, Instant::now());
        loop {
            let run = Run::read(folder)?;
            if run.standing != Standing::Running {
                drop(live);
                let sent = send(server, self.experiment(&run), &run);
                match &sent {
                    Ok(address) if !is_in_trouble && !is_told => {
                        say(format_args!("tracked at {address}"));
                    }
                    Ok(address) if is_in_trouble => {
                        say(format_args!("all of it is there now: {address}"));
                    }
                    Err(error) if !is_in_trouble => tell(&run, error),
                    _ => {}
                }
                return Ok(sent.map(drop)?);
            }
            if Instant::now() >= next {
                match step(server, self.experiment(&run), &run, live.take()) {
                    Ok(replay) => {
                        if !is_told {
                            say(format_args!("tracked at {}", page(server, &replay)));
                        }
                        (is_told, pause, live) = (true, PAUSE, Some(replay));
                    }
                    Err(error) => {
                        if !is_in_trouble {
                            tell(&run, &error);
                        }
                        is_in_trouble = true;
                        next = Instant::now() + pause;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            sleep(LOOK);
        }
    }
}

pub(super) fn step<'a>(
    server: &'a Server,
    experiment: &str,
    run: &Run,
    live: Option<Replay<'a>>,
) -> Result<Replay<'a>, ReplayError> {
    let mut replay = match live {
        Some(mut replay) => replay.send(run).map(|()| replay)?,
        None => begin(server, experiment, run)?,
    };
    // One that was resumed says so.
    replay.close(run)?;
    Ok(replay)
}

/// On one line: it stands among those of the training.
fn tell(run: &Run, error: &ReplayError) {
    let error = error.to_string();
    let first = error.lines().next().unwrap_or_default();
    let id = &run.record.run_id;
    say(format_args!("not tracked: {first}; `cargo xtask track {id}` sends what is missing"));
}

/// The run that a process is at, once there is one; none where it ended without.
fn begun_by(process: u32, since: i64, runs: &Path) -> anyhow::Result<Option<PathBuf>> {
    let is_its = |folder: &PathBuf| {
        run::holder(folder) == Some(process)
            && Record::read(folder).is_ok_and(|record| {
                // One that is resumed began earlier.
                run::is_held(folder).unwrap_or(false) || record.start_time >= since
            })
    };
    loop {
        // Asked first: a run may begin in between.
        let is_running = atomic::is_running(process);
        if let Some(folder) = run::entries(runs)?.into_iter().find(is_its) {
            return Ok(Some(folder));
        }
        if !is_running {
            return Ok(None);
        }
        sleep(LOOK);
    }
}
