//! `bench`: figures for `docs/performance.md`. Never part of a test.

mod malformed;
mod overload;
mod rows;
mod serve;
mod subject;
mod wrk;

use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;

use crate::libtorch;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::cargo;
use crate::train::{data as dataset, training};

/// Measure training and inference
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Microseconds per image of one artifact, by batch size, on one thread
    Forward {
        /// Artifact folder [default: the one trained last]
        #[arg(long, value_name = "DIR")]
        model: Option<PathBuf>,
    },
    /// Accuracy and seconds of one recipe, by seed
    Train {
        #[arg(long, default_value = "quick", value_name = "quick|release|FILE")]
        #[arg(value_parser = training::recipe)]
        recipe: String,
        /// Trains with the seeds 0, 1, …
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        #[command(flatten)]
        source: dataset::Source,
    },
    Serve(serve::Args),
    Malformed(malformed::Args),
    Overload(overload::Args),
}

impl Command {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Forward { model } => forward(repo, model),
            Self::Serve(args) => args.run(repo),
            Self::Malformed(args) => args.run(repo),
            Self::Overload(args) => args.run(repo),
            Self::Train { recipe, seeds, source } => train(repo, &recipe, seeds, &source),
        }
    }
}

fn forward(repo: &Repo, model: Option<PathBuf>) -> anyhow::Result<()> {
    libtorch::ensure(repo)?;
    let folder = model.unwrap_or_else(|| repo.latest_artifact());
    let artifact = Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")?;
    Cmd::new(cargo::build(repo, "model", "model")?, repo.root())
        .args(["bench", "forward", "--artifact"])
        .arg(artifact.path())
        .replace()
}

fn train(repo: &Repo, recipe: &str, seeds: u64, source: &dataset::Source) -> anyhow::Result<()> {
    let mut accuracies = Vec::new();
    data("seed  test accuracy  seconds");
    for seed in 0..seeds {
        let training = training::Args {
            seed,
            // Beside the build: the model that `serve` takes stays the one that was trained on purpose.
            out: Some(cargo::release_folder()?.with_file_name("bench-artifact")),
            ..training::Args::of(recipe, source.clone())
        };
        let folder = training.trainer(repo)?.read()?;
        let artifact = Artifact::open(folder.trim_end().as_ref())?;
        let manifest = artifact.manifest();
        let accuracy = 100.0 * manifest.metrics.accuracy;
        data(format_args!("{seed:>4}  {accuracy:>11.2} %  {:>7.1}", manifest.training.seconds));
        accuracies.push(accuracy);
    }
    let count = accuracies.len() as f64;
    let mean = accuracies.iter().sum::<f64>() / count;
    let variance =
        accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let least =
        accuracies.iter().copied().reduce(f64::min).context("no seeds, nothing to measure")?;
    data(format_args!(
        "mean {mean:.3} %, standard deviation {:.3}, least {least:.2} %",
        variance.sqrt()
    ));
    step("with the command, these belong into docs/performance.md");
    Ok(())
}
