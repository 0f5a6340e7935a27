//! The only module that starts programs: `xtask` with a report on its standard input, in a process group of
//! its own, so that a signal to us does not end it and a time limit ends all that it started.

use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::config::TOKEN;
use crate::report::Report;

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) xtask: PathBuf,
    pub(crate) limit: Duration,
    /// Set when what still runs must end.
    pub(crate) stop: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) stdout: String,
    /// The last lines of what it said.
    pub(crate) said: Vec<String>,
    pub(crate) took: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Code(i32),
    /// By a signal that was not ours.
    Killed,
    TimedOut,
    /// We are ending.
    Stopped,
}

/// It is asked often enough that a page is not late, and seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lines of stderr that are kept for a page.
const MOST_LINES: usize = 40;
/// For what a program leaves behind, be it that it was killed.
const PATIENCE: Duration = Duration::from_secs(2);

impl Command {
    /// Runs to the end, or until the limit; its stderr goes to our log, line by line.
    pub(crate) fn run(&self, report: &Report) -> anyhow::Result<Ended> {
        let started = Instant::now();
        let (stderr, writer) = std::io::pipe().context("a pipe for what xtask says")?;
        let handle = duct::cmd(&self.xtask, report.arguments())
            .stdin_bytes(report.body.clone())
            .stdout_capture()
            .stderr_file(writer)
            .env_remove(TOKEN)
            .unchecked()
            .before_spawn(|command| {
                command.process_group(0);
                Ok(())
            })
            .start()
            .with_context(|| format!("`{}` cannot be started", self.xtask.display()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (environment, id) = (report.environment.clone(), report.id.to_string());
        let heard = Arc::clone(&said);
        let saying = std::thread::spawn(move || log(stderr, &heard, &environment, &id));
        let mut cut: Option<(End, Instant)> = None;
        let output = loop {
            if let Some(output) = handle.try_wait().context("waiting for xtask")? {
                break Some(output.clone());
            }
            match cut {
                Some((_, since)) if since.elapsed() > PATIENCE => break None,
                Some(_) => {}
                None => cut = self.cut(started).inspect(|_| end_all(&handle.pids())),
            }
            std::thread::sleep(LOOK_EVERY);
        };
        let took = started.elapsed();
        // Something that it left behind may hold the pipe for ever.
        let ended = Instant::now();
        while !saying.is_finished() && ended.elapsed() < PATIENCE {
            std::thread::sleep(LOOK_EVERY);
        }
        let status = output.as_ref().map(|output| output.status);
        let end = match cut {
            Some((end, _)) => end,
            None => status.and_then(|status| status.code()).map_or(End::Killed, End::Code),
        };
        let stdout = output.map_or(Vec::new(), |output| output.stdout);
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let said = lock(&said).clone();
        Ok(Ended { end, stdout, said, took })
    }

    /// Why it must end now, if it must.
    fn cut(&self, started: Instant) -> Option<(End, Instant)> {
        let late = started.elapsed() >= self.limit;
        let end = late.then_some(End::TimedOut);
        let end = end.or_else(|| self.stop.load(Ordering::Acquire).then_some(End::Stopped));
        end.map(|end| (end, Instant::now()))
    }
}

/// It and what it started.
fn end_all(pids: &[u32]) {
    let pids = pids.iter().filter_map(|pid| i32::try_from(*pid).ok()).filter_map(Pid::from_raw);
    for group in pids {
        if let Err(error) = kill_process_group(group, Signal::KILL) {
            tracing::warn!(%error, "a program that took too long could not be ended");
        }
    }
}

fn log(stderr: PipeReader, heard: &Mutex<Vec<String>>, environment: &str, id: &str) {
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).into_owned();
        tracing::info!(target: "xtask", environment, report = id, "{line}");
        let mut heard = lock(heard);
        if heard.len() == MOST_LINES {
            heard.remove(0);
        }
        heard.push(line);
    }
}

fn lock(heard: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
