//! Telling a human: every page in the spool is posted to one address until that has taken it, however often
//! either of us is started anew.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::spool::Spool;
use crate::worker::LONGEST_PAUSE;

#[derive(Debug)]
pub(crate) struct Pager {
    pub(crate) spool: Arc<Spool>,
    pub(crate) metrics: Arc<Metrics>,
    /// None where the log is all.
    pub(crate) url: Option<String>,
    pub(crate) retry_after: Duration,
    pub(crate) paged: Arc<Notify>,
    pub(crate) stopping: watch::Receiver<bool>,
}

const ANSWER_LIMIT: Duration = Duration::from_secs(20);

impl Pager {
    /// Until stopped.
    pub(crate) async fn work(self) -> anyhow::Result<()> {
        let pager = Arc::new(self);
        let mut stopping = pager.stopping.clone();
        let mut pause = pager.retry_after;
        loop {
            let posting = Arc::clone(&pager);
            let all = tokio::task::spawn_blocking(move || posting.post_all());
            let all = all.await.context("the thread that posts pages")?;
            pause = if all { pager.retry_after } else { pause };
            tokio::select! {
                () = pager.paged.notified() => {}
                () = sleep(pause), if !all => pause = (pause * 2).min(LONGEST_PAUSE),
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            }
        }
    }

    /// Whether none is left.
    fn post_all(&self) -> bool {
        let pages = match self.spool.pages() {
            Ok(pages) => pages,
            Err(error) => {
                tracing::error!(%error, "the pages cannot be read");
                return false;
            }
        };
        let mut left = pages.len();
        for page in pages {
            let name = page.file_stem().unwrap_or_default().to_string_lossy();
            if *self.stopping.borrow() {
                break;
            }
            match self.post(&page) {
                Ok(()) => {
                    left -= 1;
                    tracing::info!(report = %name, "a human was told");
                }
                Err(error) => {
                    self.metrics.page_failures.inc();
                    let error = format!("{error:#}");
                    tracing::error!(report = %name, error, "a human could not be told");
                }
            }
        }
        self.metrics.pages_waiting.set(i64::try_from(left).unwrap_or(i64::MAX));
        left == 0
    }

    fn post(&self, page: &Path) -> anyhow::Result<()> {
        if let Some(url) = &self.url {
            let markdown = fs_err::read(page)?;
            let agent: ureq::Agent =
                ureq::Agent::config_builder().timeout_global(Some(ANSWER_LIMIT)).build().into();
            let post = agent.post(url).header("content-type", "text/markdown; charset=utf-8");
            // The address may hold a secret: it is in no message.
            let sent = post.send(&markdown[..]).map(drop);
            sent.context("posting a page to --page-url")?;
        }
        fs_err::remove_file(page)?;
        Ok(())
    }
}
