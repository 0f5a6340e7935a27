//! `visit`: a client for as long as somebody wants to know what a service's users see.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::probes::Probes;

use super::visitor::{Connections, Seen, Visitor};
use crate::repo::Repo;
use crate::report::{Exit, data, step};

/// Keep asking a service labelled pictures, and count what comes back
///
/// Every second one line of JSON: answers by version of the model, the wrong ones, the lost ones. Half of
/// the clients keep their connection, half open one per request; nothing is tried again. What the model that
/// it finds at first gets wrong is not asked. Exit status 1 where a request was lost.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The service, such as <http://127.0.0.1:8000>
    url: String,
    /// Labelled pictures [default: kustomize/base/smoke/probes.json]
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,
    /// So many at once
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Requests per second at most, of all clients together
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Stop after so many
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    requests: u64,
    /// Seconds within which the service has to give its first answers
    #[arg(long, default_value_t = 60, value_name = "N")]
    patience: u64,
}

/// A line is due this often.
const STRETCH: Duration = Duration::from_secs(1);

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let probes = fs_err::read(self.probes.clone().unwrap_or_else(|| repo.probes()))?;
        let (_, pictures) = Probes::from_json(&probes)?;
        let visitor = Visitor::new(&self.url, &pictures);
        self.arrive(&visitor)?;
        step(format_args!("{} answers", self.url));
        let stop = AtomicBool::new(false);
        let pause = Duration::from_secs(1) * self.clients / self.rate;
        let seen = std::thread::scope(|scope| {
            for client in 0..self.clients {
                let kind = if client % 2 == 0 { Connections::Kept } else { Connections::Fresh };
                let (visitor, stop) = (&visitor, &stop);
                scope.spawn(move || visitor.run(kind, pause, stop));
            }
            let seen = self.follow(&visitor);
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            seen
        })?;
        step(&seen);
        if seen.lost == 0 {
            return Ok(());
        }
        let message = format!("{} requests were lost", seen.lost);
        Err(Exit { code: 1, message }.into())
    }

    fn arrive(&self, visitor: &Visitor<'_>) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(self.patience);
        loop {
            match visitor.begin() {
                Err(_) if Instant::now() < deadline => std::thread::sleep(STRETCH / 4),
                began => return began.with_context(|| format!("asking {}", self.url)),
            }
        }
    }

    fn follow(&self, visitor: &Visitor<'_>) -> anyhow::Result<Seen> {
        let mut all = Seen::default();
        while all.answered() + all.lost < self.requests {
            std::thread::sleep(STRETCH);
            let stretch = visitor.take();
            data(serde_json::to_string(&stretch)?);
            all.absorb(stretch);
        }
        Ok(all)
    }
}
