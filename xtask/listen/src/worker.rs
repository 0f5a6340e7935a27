//! The worker: handles what waits, oldest first, one at a time for each environment and environments side by
//! side, so that what is newer never overtakes what is older.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::command::{Command, Ended};
use crate::metrics::Metrics;
use crate::outcome::{Next, Outcome};
use crate::report::Report;
use crate::spool::{Spool, Waiting};

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) spool: Arc<Spool>,
    pub(crate) command: Command,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tries: usize,
    pub(crate) retry_after: Duration,
    /// Somebody may have put a report into the spool.
    pub(crate) accepted: Arc<Notify>,
    /// A page was put there.
    pub(crate) paged: Arc<Notify>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Environments that are worked on side by side; whoever bears the token may invent names.
const MOST_AT_ONCE: usize = 8;
/// However often something failed, it is tried again within this time.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_mins(5);

impl Worker {
    /// Until stopped, and what runs then has ended. An error is a bug of ours.
    pub(crate) async fn work(self) -> anyhow::Result<()> {
        let worker = Arc::new(self);
        let mut busy = HashSet::new();
        let mut running = JoinSet::new();
        let mut stopping = worker.stopping.clone();
        while !worker.is_stopping() {
            for waiting in worker.spool.waiting() {
                if busy.len() < MOST_AT_ONCE && busy.insert(waiting.environment.clone()) {
                    let worker = Arc::clone(&worker);
                    running.spawn(async move {
                        worker.handle(&waiting).await.map(|()| waiting.environment.clone())
                    });
                }
            }
            tokio::select! {
                () = worker.accepted.notified() => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
                Some(ended) = running.join_next() => {
                    busy.remove(&ended.context("handling a report")??);
                }
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.context("handling a report")??;
        }
        Ok(())
    }

    async fn handle(self: &Arc<Self>, waiting: &Waiting) -> anyhow::Result<()> {
        let (id, environment) = (waiting.id.to_string(), waiting.environment.as_str());
        tracing::info!(report = id, environment, "handling");
        let mut tries_left = self.tries;
        let mut pause = self.retry_after;
        loop {
            match self.once(waiting, tries_left - 1).await? {
                Ok(Next::Finish(_) | Next::Leave) => return Ok(()),
                Ok(Next::TryAgain) => tries_left -= 1,
                // Our own folder or program: no report is given up for that.
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(report = id, environment, error, "not handled");
                }
            }
            self.metrics.retries.inc();
            if self.is_stopped_within(pause).await {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One run and what follows from it. The outer error is a panic.
    async fn once(
        self: &Arc<Self>,
        waiting: &Waiting,
        tries_left: usize,
    ) -> anyhow::Result<anyhow::Result<Next>> {
        let (worker, id) = (Arc::clone(self), waiting.id.clone());
        let running = tokio::task::spawn_blocking(move || {
            let Some(report) = worker.spool.read(&id)? else { return Ok(Next::Leave) };
            let ended = worker.command.run(&report)?;
            worker.metrics.last_duration.set(ended.took.as_secs_f64());
            let next = Next::of(ended.end, tries_left);
            if let Next::Finish(outcome) = next {
                worker.finish(&report, outcome, &ended)?;
            }
            Ok(next)
        });
        running.await.context("the thread that handles a report")
    }

    fn finish(&self, report: &Report, outcome: Outcome, ended: &Ended) -> anyhow::Result<()> {
        if let Some(page) = outcome.page(report, ended) {
            tracing::error!(report = %report.id, environment = report.environment, page, "a human has to look");
            // Before the report leaves the queue, or a crash in between would lose it.
            self.spool.put_page(&report.id, &page)?;
            self.paged.notify_one();
        }
        self.spool.finish(&report.id, outcome.as_str())?;
        self.metrics.handled(outcome);
        let (id, environment) = (&report.id, &report.environment);
        let (outcome, said) = (outcome.as_str(), ended.stdout.trim());
        tracing::info!(report = %id, environment, outcome, said, "handled");
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    async fn is_stopped_within(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = sleep(time) => false,
            _ = stopping.wait_for(|stopping| *stopping) => true,
        }
    }
}
