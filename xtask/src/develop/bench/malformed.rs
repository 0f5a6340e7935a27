//! `bench malformed`: our service under requests that nobody should send.

use std::path::PathBuf;
use std::time::Instant;

use contract::artifact::Artifact;

use super::serve::{LOAD, SERVER, service};
use super::subject::Subject;
use crate::libtorch;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::cargo;

/// Malformed requests of every route, and what the service answers: fails on any 5xx that is no shed load
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Artifact folder [default: the one trained last]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        libtorch::ensure(repo)?;
        let program = cargo::build(repo, "app", "mnist-api")?;
        let caller = cargo::example(repo, "fuzz", "malformed")?;
        let folder = self.model.unwrap_or_else(|| repo.latest_artifact());
        let artifact = Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")?;
        let scratch = tempfile::tempdir()?;
        let key = scratch.path().join("feedback.key");
        fs_err::write(&key, "x".repeat(32))?;
        let subject = Subject::start(scratch.path(), SERVER, |port| {
            let serve = service(&program, scratch.path(), &artifact, port);
            serve.args(["--log", "error", "--feedback-key-file"]).arg(&key)
        })?;
        let mib = |subject: &Subject| Ok::<_, anyhow::Error>(subject.resident()? >> 20);
        let (before, started) = (mib(&subject)?, Instant::now());
        step(format_args!("{} requests", self.requests));
        let asked = Cmd::new(caller, scratch.path())
            .args([subject.address(), self.requests.to_string()])
            .on_cores(LOAD)
            .lines(|line| data(line));
        data(format_args!("{:.0} s", started.elapsed().as_secs_f64()));
        data(format_args!("{before} MiB before, {} after", mib(&subject)?));
        let panics = subject.log()?.matches("panicked").count();
        data(format_args!("{panics} panics"));
        anyhow::ensure!(panics == 0, "the service panicked:\n{}", subject.log()?);
        asked
    }
}
