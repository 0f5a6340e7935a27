//! `train --trial`: a training for whoever compares recipes. Only the validation images judge it; the test set is
//! dropped as sealed as it came.

use std::io::{copy, sink, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::bail;
use model::dataset::Dataset;
use model::run::Run;

use super::progress::Progress;
use super::settings::Settings;
use super::{Loaded, ended_by, fit, load, open_run};
use crate::commands::print;

pub(super) fn run(settings: &Settings, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    stop_when_nobody_waits(Arc::clone(stop));
    let Loaded { dataset, test, .. } = load(settings)?;
    let progress = Progress::of(&dataset, &settings.plan);
    if stop.load(Ordering::Relaxed) {
        bail!("nobody waits for this trial: its stdin is closed, or it was told to stop");
    }
    let mut run = open_run(settings, &dataset.record(&test), &progress)?;
    drop(test);
    match told_and_trained(&run, settings, dataset, stop, &progress) {
        Ok(()) => Ok(run.finish_without_artifact()?),
        Err(error) => Err(ended_by(error, &mut run)),
    }
}

/// Whoever compares recipes holds our stdin open. Killed, they close it too, and no trial goes on for nobody.
fn stop_when_nobody_waits(stop: Arc<AtomicBool>) {
    thread::spawn(move || {
        drop(copy(&mut stdin().lock(), &mut sink()));
        stop.store(true, Ordering::Relaxed);
    });
}

fn told_and_trained(
    run: &Run,
    settings: &Settings,
    dataset: Dataset,
    stop: &AtomicBool,
    progress: &Progress,
) -> anyhow::Result<()> {
    print(run.folder().display())?;
    fit(run, settings, &Arc::new(dataset), stop, progress).map(drop)
}
