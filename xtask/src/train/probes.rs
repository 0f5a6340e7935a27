//! `probes`: labelled pictures for smoke tests, cut from a data set and kept in Git.

use std::path::PathBuf;

use crate::libtorch;
use crate::process::Cmd;
use crate::repo::{Repo, read_task};
use crate::report::step;
use crate::tools::cargo;
use crate::train::data::{self, Dataset};

/// Cut labelled probes for smoke tests
///
/// Probes decide whether a deployed model stays, so they are reviewed like code: look at them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which pictures: held-out ones of the task's data, or generated ones
    #[arg(long, default_value = "test", value_parser = ["test", "synthetic"])]
    from: String,
    /// Pictures, rounded up to the same number of every class
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
    /// Share that a deployed model must classify rightly
    #[arg(long, default_value_t = 0.9)]
    threshold: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write them [default: kustomize/base/smoke/probes.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    source: data::Source,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let task_file = self.source.task.path(repo);
        let task = read_task(&task_file)?;
        let wanted = if self.from == "synthetic" { "synthetic" } else { &task.data.name };
        let dataset = data::provide(repo, &task, Some(wanted), self.source.mirror.as_deref())?;
        libtorch::ensure(repo)?;
        step("building the trainer");
        let mut command =
            Cmd::new(cargo::build(repo, "model", "model")?, &std::env::current_dir()?)
                .arg("probes")
                .arg("--task")
                .arg(task_file)
                .args(["--from", &self.from, "--count", &self.count.to_string()])
                .args([
                    "--threshold",
                    &self.threshold.to_string(),
                    "--seed",
                    &self.seed.to_string(),
                ])
                .arg("--out")
                .arg(self.out.unwrap_or_else(|| repo.probes()));
        if let Dataset::Files(folder) = dataset {
            command = command.arg("--data-dir").arg(folder);
        }
        command.run()
    }
}
