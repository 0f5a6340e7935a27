//! `evaluate`: how an artifact does on a test set, its own or another.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use contract::evaluation::ClassMetrics;
use contract::manifest::ModelVersion;
use model::classifier::{self, Classifier};
use model::dataset::Dataset;
use model::evaluation;
use serde::Serialize;

use super::data::DataArgs;
use super::print;

/// Evaluate an artifact on the test images of a data set and print its metrics as JSON
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Artifact folder
    #[arg(long, value_name = "DIR")]
    artifact: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Serialize)]
struct Report {
    model_version: ModelVersion,
    suite: String,
    images: usize,
    accuracy: f64,
    loss: f64,
    calibration_error: f64,
    per_class: Vec<ClassMetrics>,
    confusion: Vec<Vec<u64>>,
    misclassified: Vec<usize>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        // More would wait for each other longer than they compute.
        classifier::set_threads(1);
        let classifier = Classifier::open(&self.artifact)?;
        let manifest = classifier.manifest();
        let task = self.data.task()?;
        ensure!(
            (task.input, &task.classes) == (manifest.task.input, &manifest.task.classes),
            "the artifact classifies {} images into {:?}, the task `{}` is of {} images and {:?}",
            manifest.task.input,
            manifest.task.classes,
            task.name,
            task.input,
            task.classes
        );
        let (name, test) = Dataset::load_test(&task, &self.data.source())?;
        let predictions = evaluation::predict(&test, |i| classifier.classify(i))?;
        let suite = format!("{name}/test");
        let labels = test.labels();
        let evaluation = evaluation::evaluation(suite, task.classes.len(), labels, &predictions)?;
        let metrics = evaluation::metrics(&task.classes, &evaluation, &predictions, 0.0);
        let report = Report {
            model_version: manifest.model_version.clone(),
            suite: evaluation.suite().to_owned(),
            images: evaluation.images(),
            accuracy: metrics.accuracy,
            loss: metrics.loss,
            calibration_error: metrics.calibration_error,
            per_class: metrics.per_class,
            confusion: metrics.confusion,
            misclassified: metrics.misclassified,
        };
        print(serde_json::to_string_pretty(&report).context("writing the metrics as JSON")?)
    }
}
