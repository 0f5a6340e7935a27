//! `bench overload`: what a service does that is asked more than it can answer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;
use contract::probes::Probes;
use serde::Deserialize;
use serde_json::json;

use super::serve::{LOAD, SERVER, service};
use super::subject::Subject;
use crate::libtorch;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::cargo;

/// Answers, refusals and memory of our service on one core, asked over more and more connections from another
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Artifact folder [default: the one trained last]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Connections that are kept busy, one row each
    #[arg(long, value_delimiter = ',', default_values_t = [4, 16, 160, 640])]
    connections: Vec<u32>,
    /// Seconds of one row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Of the answers with one status. Times in microseconds.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    count: u64,
    p50: u64,
    p99: u64,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        libtorch::ensure(repo)?;
        let program = cargo::build(repo, "app", "mnist-api")?;
        let flood = cargo::example(repo, "app", "flood")?;
        let folder = self.model.unwrap_or_else(|| repo.latest_artifact());
        let artifact = Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")?;
        let scratch = tempfile::tempdir()?;
        let (_, pictures) = Probes::from_json(&fs_err::read(repo.probes())?)?;
        let body = scratch.path().join("body.json");
        fs_err::write(&body, json!({ "image": pictures[0].1.pixels() }).to_string())?;
        let subject = Subject::start(scratch.path(), SERVER, |port| {
            service(&program, scratch.path(), &artifact, port)
        })?;
        data(format_args!(
            "{:>11}{:>12}{:>9}{:>9}{:>11}{:>9}{:>8}{:>8}",
            "connections",
            "answered/s",
            "p50 ms",
            "p99 ms",
            "refused/s",
            "p99 ms",
            "lost",
            "RSS MB"
        ));
        for connections in self.connections {
            step(format_args!("{connections} connections"));
            let told = Cmd::new(&flood, scratch.path())
                .args([&subject.address(), "/v1/predict"])
                .arg(&body)
                .args([connections.to_string(), self.seconds.to_string()])
                .on_cores(LOAD)
                .read()?;
            let seen: BTreeMap<u16, Seen> =
                serde_json::from_str(&told).with_context(|| format!("`{told}`"))?;
            let of = |status: u16| seen.get(&status).copied().unwrap_or_default();
            let (answered, refused) = (of(200), of(429));
            let others = seen.values().map(|seen| seen.count).sum::<u64>();
            let lost = others - answered.count - refused.count;
            let per_second = |count: u64| count as f64 / f64::from(self.seconds);
            let ms = |time: u64| time as f64 / 1e3;
            data(format_args!(
                "{connections:>11}{:>12.0}{:>9.2}{:>9.2}{:>11.0}{:>9.2}{lost:>8}{:>8.0}",
                per_second(answered.count),
                ms(answered.p50),
                ms(answered.p99),
                per_second(refused.count),
                ms(refused.p99),
                subject.resident()? as f64 / 1e6,
            ));
        }
        step("with the command, these belong into docs/performance.md");
        Ok(())
    }
}
