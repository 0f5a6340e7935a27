//! [`Live`]: environments that follow main on this machine while something is played, each with a client who keeps
//! asking. They end with the play.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use contract::image::Image;
use contract::prediction::Label;
use gitops::environment::Environment;

use super::demand_uninterrupted;
use super::stage::Stage;
use super::transcript::Transcript;
use crate::operate::visitor::{Connections, Visitor};
use crate::process::Cmd;
use crate::reconciler::{Application, Node, Notice, Process, Source};
use crate::tools::oci::Layout;

pub(in crate::operate) struct Live<'a, 'p, const N: usize> {
    /// In the order of their environments.
    pub(in crate::operate) visitors: [&'a Visitor<'p>; N],
    processes: [Process; N],
    /// Reports, as JSON.
    events: Receiver<String>,
    folder: &'a Path,
}

/// A rollout without progress is given up after this long; the shipped base waits for minutes.
pub(super) const PROGRESS_DEADLINE: Duration = Duration::from_secs(12);
/// What is waited for at most: a rollout that is given up, then a rollback.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two questions of a visitor.
const PAUSE: Duration = Duration::from_millis(50);

/// Follows main with a node of its own in `folder` for as long as `play` takes.
pub(in crate::operate) fn live<'p, const N: usize, T>(
    stage: &Stage,
    folder: &Path,
    environments: [&Environment; N],
    pictures: &'p [(Label, Image)],
    transcript: Transcript,
    play: impl FnOnce(&Live<'_, 'p, N>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let node = Node::new(Layout::create(&stage.images())?, folder)?;
    let source = Source::new(Path::new(stage.remote()));
    let (send, events) = mpsc::channel();
    let stop = AtomicBool::new(false);
    let mut applications = Vec::new();
    for environment in environments {
        let send = send.clone();
        let notify = move |notice| match notice {
            Notice::Progress(line) => transcript.say(line),
            // Nobody listens any more only when the play is over.
            Notice::Event(json) => drop(send.send(json)),
        };
        applications.push(Application::new(environment.clone(), &source, &node, &stop, notify)?);
    }
    drop(send);
    let visitors: Vec<_> =
        applications.iter().map(|application| Visitor::new(&application.url(), pictures)).collect();
    let processes = std::array::from_fn(|at| applications[at].process());
    let live =
        Live { visitors: std::array::from_fn(|at| &visitors[at]), processes, events, folder };
    std::thread::scope(|scope| {
        let _stop = StopWhenDone(&stop);
        for application in applications {
            scope.spawn(|| application.run());
        }
        for visitor in &visitors {
            scope.spawn(|| visitor.run(Connections::Fresh, PAUSE, &stop));
        }
        play(&live)
    })
}

impl<const N: usize> Live<'_, '_, N> {
    /// The next report, whoever sent it.
    pub(in crate::operate) fn next_event(&self) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            demand_uninterrupted()?;
            match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => bail!("no report came within {} s", PATIENCE.as_secs()),
            }
        }
    }

    pub(in crate::operate) fn demand_silence(&self, otherwise: &'static str) -> anyhow::Result<()> {
        ensure!(self.events.try_recv().is_err(), otherwise);
        Ok(())
    }

    /// Kills what serves the environment at that place; returns when it answers again, after how long.
    pub(in crate::operate) fn kill(&self, at: usize) -> anyhow::Result<Duration> {
        let (process, visitor) = (&self.processes[at], self.visitors[at]);
        let pid = process.pid();
        ensure!(pid != 0, "nothing serves there");
        Cmd::new("kill", self.folder).args(["-KILL", &pid.to_string()]).run()?;
        let killed = Instant::now();
        while process.pid() == pid || visitor.ask_once().is_err() {
            demand_uninterrupted()?;
            ensure!(killed.elapsed() < PATIENCE, "it does not come back");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(killed.elapsed())
    }
}

pub(in crate::operate) struct StopWhenDone<'a>(pub(in crate::operate) &'a AtomicBool);

impl Drop for StopWhenDone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
