//! `compress`: what a trained model needs to become a smaller one – its own data, verified – and the trainer, which
//! takes over the process.

use std::path::PathBuf;

use contract::artifact::Artifact;
use contract::manifest::Manifest;
use contract::task::Task;

use crate::libtorch;
use crate::process::Cmd;
use crate::repo::{Repo, read_task};
use crate::report::{WithHint, step};
use crate::tools::{cargo, git};
use crate::train::{data, training};

/// Make a smaller model out of a trained one, and compare both
///
/// `--prune` removes channels and trains what is left, as the artifact itself was trained; `--int8` keeps weights as
/// 8-bit integers, which makes files smaller and nothing faster. The result is an artifact like any other, judged once
/// on the test images: its folder goes to stdout, the comparison to stderr. `artifacts/latest` stays where it is;
/// `gate`, `serve` and `release` take the new one by `--model DIR`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("method").args(["prune", "int8"]).required(true).multiple(true))]
pub(crate) struct Args {
    /// Artifact folder [default: the one trained last]
    artifact: Option<PathBuf>,
    /// Share of each block's channels to remove: those whose weights are smallest
    #[arg(long, value_name = "SHARE", value_parser = share)]
    prune: Option<f64>,
    /// Passes over the data after `--prune` [default: as many as the artifact was trained for]
    #[arg(long, requires = "prune", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Keep weights as 8-bit integers with a scale per output channel
    #[arg(long)]
    int8: bool,
    #[command(flatten)]
    source: data::Source,
    /// Threads to compute with [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Artifact folder to write [default: artifacts/<data>-<model version>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the newest interrupted run of the same artifact and options
    #[arg(long)]
    resume: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "not above 0 and below 1".to_owned())
}

impl Args {
    pub(crate) fn compressor(self, repo: &Repo) -> anyhow::Result<Cmd> {
        let folder = self.artifact.unwrap_or_else(|| repo.latest_artifact());
        let artifact = Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")?;
        let task_file = self.source.task.path(repo);
        let task = read_task(&task_file)?;
        let wanted = data_of(artifact.manifest(), &task)?;
        let mirror = self.source.mirror.as_deref();
        let dataset = data::provide(repo, &task, Some(wanted), mirror)?;
        libtorch::ensure(repo)?;
        step("building the trainer");
        let model = cargo::build(repo, "model", "model")?;
        let mut compressor = Cmd::new(model, &std::env::current_dir()?)
            .arg("compress")
            .arg(folder)
            .arg("--task")
            .arg(task_file);
        if let Some(share) = self.prune {
            compressor = compressor.args(["--prune", &share.to_string()]);
        }
        if let Some(epochs) = self.epochs {
            compressor = compressor.args(["--epochs", &epochs.to_string()]);
        }
        if self.int8 {
            compressor = compressor.arg("--int8");
        }
        let was_shown = artifact.manifest().data.added > 0;
        let common = training::Common {
            dataset,
            also: if was_shown { training::labelled(repo)? } else { None },
            head: git::head(repo),
            threads: self.threads,
            out: self.out,
            resume: self.resume,
            within: None,
        };
        Ok(common.told_to(compressor, repo))
    }
}

/// The data that the artifact was trained on, as `task` has it.
fn data_of<'a>(manifest: &Manifest, task: &'a Task) -> anyhow::Result<&'a str> {
    let trained_on = &manifest.data.name;
    if *trained_on == task.data.name {
        return Ok(&task.data.name);
    }
    if task.data.synthetic.is_some_and(|generator| generator.data_name() == trained_on) {
        return Ok("synthetic");
    }
    let wrong = anyhow::anyhow!(
        "{} was trained on `{trained_on}`, and the task `{}` has no such data",
        manifest.model_version,
        task.name
    );
    Err(wrong).hint("`--task FILE` names the task that it was trained for")
}
