//! `train`: task, recipe and data in; an artifact folder out, its path on stdout and nothing else there.

mod progress;
pub(super) mod settings;
pub(super) mod surroundings;
mod trial;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ValueEnum;
use contract::artifact::{Artifact, MANIFEST};
use contract::causes;
use contract::digest::Digest;
use contract::manifest::{DataRecord, Manifest};
use model::artifact::{self, Destination};
use model::checkpoint::Checkpoint;
use model::dataset::{Dataset, Holdout};
use model::run::{Entry, Found, Recorded, Run, Status};
use model::shown;
use model::test_set::TestSet;
use model::training::{Trained, Trainer, TrainingError};

use super::print;
use progress::Progress;
use settings::Settings;
use surroundings::Surroundings;

/// Train a model and print its artifact folder
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What is classified
    #[arg(long, value_name = "FILE")]
    task: PathBuf,
    /// `quick`, `release`, or a file like those in model/recipes
    #[arg(long, default_value = "release", value_name = "quick|release|FILE")]
    recipe: String,
    /// Folder with the task's IDX files
    #[arg(long, value_name = "DIR", conflicts_with = "synthetic")]
    data_dir: Option<PathBuf>,
    /// Train on pictures drawn by the task's generator
    #[arg(long)]
    synthetic: bool,
    /// The same seed gives the same weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
    #[command(flatten)]
    surroundings: surroundings::Args,
    /// Judge by the validation images alone: the test set stays sealed, and there is no artifact
    ///
    /// What is printed is the run's folder, as soon as there is one. It stops when its stdin is closed.
    #[arg(long, conflicts_with_all = ["out", "artifacts"])]
    trial: bool,
    /// Tag of the run's record
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<Entry>,
}

fn tag(text: &str) -> Result<Entry, String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok(Entry::new(key, value))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    Cpu,
    Cuda,
    Mps,
}

/// Training stopped because it was told to.
#[derive(Debug, thiserror::Error)]
#[error(
    "interrupted at step {step} of {steps}\n\nhint: the same command with `--resume` continues"
)]
pub(crate) struct Interrupted {
    step: usize,
    steps: usize,
}

const LATEST: &str = "latest";

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let stop = stop_on_signal()?;
        let settings = Settings::of(self)?;
        if settings.trial {
            return trial::run(&settings, &stop);
        }
        let path = train(&settings, &stop)?;
        print(path.display())
            .with_context(|| format!("`{}` is written and cannot be told", path.display()))
    }
}

/// Trains, or goes on with what was trained, and writes the artifact.
pub(super) fn train(settings: &Settings, stop: &AtomicBool) -> anyhow::Result<PathBuf> {
    let Settings { plan, .. } = settings;
    settings
        .surroundings
        .destination
        .demand_writable()
        .context("no artifact can be written there")?;
    let Loaded { dataset, test, left_out } = load(settings)?;
    let data = dataset.record(&test);
    if let Some(start) = &settings.start {
        start.demand(&data)?;
    }
    let progress = Progress::of(&dataset, plan);
    if settings.surroundings.also.is_some() {
        let added = dataset.added;
        progress.say(format_args!("{added} labelled pictures added, {left_out} known already"));
    }
    let mut run = open_run(settings, &data, &progress)?;
    let outcome = train_in(&run, settings, dataset, test, stop, &progress);
    match outcome {
        Ok(path) => {
            let manifest = Artifact::open(&path)?.manifest().clone();
            progress.finished(&manifest, run.id());
            run.finish(&path, files(&path, &manifest)?)?;
            Ok(path)
        }
        Err(error) => Err(ended_by(error, &mut run)),
    }
}

struct Loaded {
    dataset: Dataset,
    test: TestSet,
    /// Labelled pictures that are among the others already.
    left_out: usize,
}

/// All that is trained on, whatever the training is for.
fn load(settings: &Settings) -> anyhow::Result<Loaded> {
    let Settings { task, plan, .. } = settings;
    let holdout = Holdout { share: plan.recipe.validation, seed: plan.seed };
    let (mut dataset, test) = Dataset::load(task, &settings.source, holdout)?;
    let left_out = match &settings.surroundings.also {
        Some(folder) => dataset.add(&shown::read(folder, task)?, &test),
        None => 0,
    };
    Ok(Loaded { dataset, test, left_out })
}

fn ended_by(error: anyhow::Error, run: &mut Run) -> anyhow::Error {
    let status = if error.is::<Interrupted>() { Status::Killed } else { Status::Failed };
    // Whatever keeps the record from being written is not what to tell: without an end, it is
    // one of an interrupted run.
    drop(run.end(status));
    with_way_forward(error, run)
}

/// A training that ended through no fault of its own is not lost.
fn with_way_forward(error: anyhow::Error, run: &Run) -> anyhow::Error {
    if error.is::<Interrupted>() || error.is::<TrainingError>() || !run.checkpoint().exists() {
        return error;
    }
    anyhow::anyhow!(
        "{}\n\nhint: once that is mended, the same command with `--resume` continues",
        causes::sentence(error.chain())
    )
}

fn open_run(settings: &Settings, data: &DataRecord, progress: &Progress) -> anyhow::Result<Run> {
    let runs = &settings.surroundings.runs;
    if settings.surroundings.resume {
        let Found { run, skipped } = Run::resume(runs, &settings.plan, data)?;
        for skipped in skipped {
            progress.say(format_args!("skipped {skipped}"));
        }
        if let Some(run) = run {
            progress.say(format_args!("resuming {}", run.folder().display()));
            return Ok(run);
        }
        progress.say(format_args!("nothing to resume: starting"));
    }
    let tags = [tags(settings), settings.tags.clone()].concat();
    Ok(Run::start(runs, &settings.plan, data, tags)?)
}

fn train_in(
    run: &Run,
    settings: &Settings,
    dataset: Dataset,
    test: TestSet,
    stop: &AtomicBool,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    let dataset = Arc::new(dataset);
    let result = fit(run, settings, &dataset, stop, progress)?;
    let path = write_artifact(&result, settings, &dataset, test)?;
    let metrics = Artifact::open(&path)?.manifest().metrics.clone();
    let finals = [
        ("test/accuracy", metrics.accuracy),
        ("test/loss", metrics.loss),
        ("test/calibration_error", metrics.calibration_error),
    ];
    run.log(&result.epochs, &finals)?;
    Ok(path)
}

/// From the run's checkpoint, where there is one, to the last step.
fn fit(
    run: &Run,
    settings: &Settings,
    dataset: &Arc<Dataset>,
    stop: &AtomicBool,
    progress: &Progress,
) -> anyhow::Result<Trained> {
    let mut trainer = Trainer::new(settings.plan.clone(), Arc::clone(dataset))?;
    if let Some(start) = &settings.start {
        start.apply(&mut trainer)?;
    }
    if let Some(checkpoint) = Checkpoint::read(&run.checkpoint())? {
        trainer.restore(&checkpoint)?;
    }
    run.log(&trainer.progress().epochs, &[])?;
    while !trainer.is_finished() {
        if stop.load(Ordering::Relaxed) {
            trainer.checkpoint().write(&run.checkpoint())?;
            return Err(
                Interrupted { step: trainer.progress().step, steps: trainer.steps() }.into()
            );
        }
        let epoch = trainer.step()?;
        progress.step(&trainer);
        if let Some(epoch) = epoch {
            progress.epoch(&epoch);
            trainer.checkpoint().write(&run.checkpoint())?;
            run.log(&trainer.progress().epochs, &[])?;
        }
    }
    progress.trained();
    Ok(trainer.finish())
}

fn write_artifact(
    trained: &Trained,
    settings: &Settings,
    dataset: &Dataset,
    test: TestSet,
) -> anyhow::Result<PathBuf> {
    let Settings { task, surroundings: Surroundings { destination, revision, .. }, .. } = settings;
    let source = revision.clone();
    let path = artifact::write(trained, task, dataset, test, source, destination)?;
    // A compressed model is used where somebody names it.
    if let Destination::Within(artifacts) = destination
        && settings.start.is_none()
    {
        point_latest(artifacts, &path).with_context(|| {
            format!("moving `{}` to the new artifact", artifacts.join(LATEST).display())
        })?;
    }
    Ok(path)
}

/// A link cannot be changed, so a new one is renamed over it.
fn point_latest(artifacts: &Path, artifact: &Path) -> io::Result<()> {
    let Some(name) = artifact.file_name() else { return Ok(()) };
    let link = artifacts.join(format!(".{LATEST}.partial-{}.0", std::process::id()));
    match fs_err::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs_err::os::unix::fs::symlink(name, &link)?;
    fs_err::rename(&link, artifacts.join(LATEST))
}

fn tags(settings: &Settings) -> Vec<Entry> {
    let command =
        if settings.start.is_some() { "cargo xtask compress" } else { "cargo xtask train" };
    let source = &settings.surroundings.revision;
    let mut tags = vec![Entry::new("mlflow.source.name", command)];
    if let Some(revision) = &source.git_revision {
        tags.push(Entry::new("mlflow.source.git.commit", revision));
        tags.push(Entry::new("mlflow.source.git.dirty", source.dirty));
    }
    tags
}

/// All of it: where the record is replayed, it can be opened again.
fn files(artifact: &Path, manifest: &Manifest) -> io::Result<Vec<Recorded>> {
    let own = Digest::of(&fs_err::read(artifact.join(MANIFEST))?);
    let all = manifest.files.iter().map(|(name, digest)| (name.as_str(), *digest));
    let file = |(name, digest): (&str, Digest)| {
        let file_size = fs_err::metadata(artifact.join(name))?.len();
        Ok(Recorded { path: name.to_owned(), file_size, digest })
    };
    all.chain([(MANIFEST, own)]).map(file).collect()
}

/// The first Ctrl-C or SIGTERM asks; the second does not.
pub(super) fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "whoever asks twice does not want to wait for a step")]
            std::process::exit(super::INTERRUPTED.into());
        }
    })
    .context("listening for Ctrl-C")?;
    Ok(stop)
}
