//! `compress`: an artifact in, a smaller one out. The comparison of both goes to stderr, the folder to stdout.

mod comparison;

use std::io::{Write as _, stderr};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use contract::manifest::Manifest;
use contract::task::Task;
use model::compress::{Parent, Wanted};

use super::data::DataArgs;
use super::print;
use super::train::settings::Settings;
use super::train::surroundings;
use super::train::{stop_on_signal, train};

/// Make a smaller model out of a trained one and print its artifact folder
#[derive(clap::Args)]
#[group(id = "method", required = true, multiple = true, args = ["prune", "int8"])]
pub(crate) struct Args {
    /// Artifact folder
    artifact: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Remove this share of each block's channels, then train what is left
    #[arg(long, value_name = "SHARE", value_parser = share)]
    prune: Option<f64>,
    /// Passes over the data after `--prune` [default: as many as the artifact was trained for]
    #[arg(long, requires = "prune", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Keep weights as 8-bit integers
    #[arg(long)]
    int8: bool,
    #[command(flatten)]
    surroundings: surroundings::Args,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "not above 0 and below 1".to_owned())
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let stop = stop_on_signal()?;
        let folder = self.artifact.clone();
        let settings = self.settings()?;
        let path = train(&settings, &stop)?;
        let table = comparison::table(&folder, &path)?;
        // Whoever closed stderr does not read it.
        drop(writeln!(stderr(), "\n{table}"));
        print(path.display())
            .with_context(|| format!("`{}` is written and cannot be told", path.display()))
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let task = self.data.task()?;
        let parent = Parent::open(&self.artifact)?;
        demand_same(&task, parent.manifest())?;
        let wanted = Wanted {
            prune: self.prune.unwrap_or_default(),
            epochs: self.epochs,
            int8: self.int8,
            threads: self.surroundings.threads().map_err(anyhow::Error::msg)?,
        };
        let (plan, start) = parent.compressed(wanted)?;
        Ok(Settings {
            task,
            plan,
            start: Some(start),
            trial: false,
            tags: Vec::new(),
            source: self.data.source(),
            surroundings: self.surroundings.surroundings().map_err(anyhow::Error::msg)?,
        })
    }
}

fn demand_same(task: &Task, manifest: &Manifest) -> anyhow::Result<()> {
    let Manifest { task: of, model_version, .. } = manifest;
    ensure!(
        (task.input, &task.classes, &task.normalisation)
            == (of.input, &of.classes, &of.normalisation),
        "{model_version} is a model of another task than `{}`: of {} images and {:?}\n\nhint: name the task that it was trained for",
        task.name,
        of.input,
        of.classes
    );
    Ok(())
}
