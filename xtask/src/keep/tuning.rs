//! `tune`: provides what a training needs and becomes `mlops tune`; or renders the Job by which many machines work at
//! one study.

mod job;

use std::path::PathBuf;

use crate::keep;
use crate::libtorch;
use crate::repo::{Repo, read_task};
use crate::report::step;
use crate::tools::{cargo, git};
use crate::train::data;
use crate::train::training::{self, learnt_from};

/// Look for a better recipe, by validation images alone, and say whether it is one
///
/// What it prints is the best recipe's file, for `train --recipe`; `report.md` lies beside it. The best and the recipe
/// that the study began with are trained anew with other seeds before one is called better. Killed or interrupted, the
/// same command goes on. Several may work at one study, on many machines too: they share `--state`. Where
/// `MLFLOW_TRACKING_URI` is set, the study goes there with its trials below it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A study like those in model/studies [default: model/studies/quick.yaml]
    study: Option<PathBuf>,
    /// Folder or URL (s3://, gs://, azure://) of what is known [default: studies/NAME/state]
    #[arg(long, value_name = "DIR|URL")]
    state: Option<String>,
    /// Trials at once, here
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Threads of each [default: all cores, shared among `--jobs`; 2 in a pod]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The task's own data by name, or `synthetic` [default: its own; synthetic if no mirror answers]
    #[arg(long, value_name = "NAME|synthetic")]
    data: Option<String>,
    #[command(flatten)]
    source: data::Source,
    /// What to compute on
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "cuda", "mps"])]
    device: String,
    #[command(flatten)]
    job: job::Args,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let study = self.study.unwrap_or_else(|| repo.path("model/studies/quick.yaml"));
        let task = self.source.task.path(repo);
        if self.job.is_wanted() {
            let is_drawn = self.data.as_deref() == Some("synthetic");
            let state = self.state.unwrap_or_default();
            return self.job.render(&study, &task, &state, is_drawn, self.threads);
        }
        let (data, mirror) = (self.data.as_deref(), self.source.mirror.as_deref());
        let named = read_task(&task)?;
        let dataset = data::provide(repo, &named, data, mirror)?;
        libtorch::ensure(repo)?;
        step("building the trainer");
        let model = cargo::build(repo, "model", "model")?;
        let mut mlops = keep::mlops(repo)?.arg("tune").arg(study);
        mlops = mlops.arg("--trainer").arg(model).arg("--task").arg(task);
        mlops = mlops.args(["--jobs", &self.jobs.to_string()]);
        if let Some(threads) = self.threads {
            mlops = mlops.args(["--threads", &threads.to_string()]);
        }
        if let Some(state) = &self.state {
            mlops = mlops.args(["--state", state]);
        }
        mlops = mlops.args(["--", "--device", &self.device]);
        if let Some(folder) = training::also(repo, &named, &dataset)? {
            mlops = mlops.arg("--also").arg(folder);
        }
        mlops.args(learnt_from(dataset, git::head(repo))).replace()
    }
}
