//! `classify`: the scores of raw images, for comparison with other programs that load the model.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use contract::image::Image;
use contract::manifest::ModelVersion;
use contract::prediction::Scores;
use model::classifier::{self, Classifier};
use serde::Serialize;

use super::print;

/// Print the probabilities of images as JSON
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Artifact folder
    #[arg(long, value_name = "DIR")]
    artifact: PathBuf,
    /// Pixels of one image after the other, a byte each, [height][width][channels]
    #[arg(long, value_name = "FILE")]
    images: PathBuf,
    /// Images answered at once
    #[arg(long, default_value_t = 32)]
    batch: usize,
}

#[derive(Serialize)]
struct Answers {
    model_version: ModelVersion,
    /// `[image][class]`
    scores: Vec<Vec<f32>>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        // More would wait for each other longer than they compute.
        classifier::set_threads(1);
        let classifier = Classifier::open(&self.artifact)?;
        let shape = classifier.manifest().task.input;
        let pixels = fs_err::read(&self.images)?;
        let chunks = pixels.chunks_exact(shape.len());
        ensure!(
            chunks.remainder().is_empty(),
            "`{}` does not hold whole {shape} images: {} bytes are not a multiple of {}",
            self.images.display(),
            pixels.len(),
            shape.len()
        );
        let images = chunks.map(|c| Image::new(shape, c)).collect::<Result<Vec<_>, _>>()?;
        let mut scores = Vec::with_capacity(images.len());
        for batch in images.chunks(self.batch.max(1)) {
            scores.extend(
                classifier.classify(batch)?.iter().map(Scores::probabilities).map(<[f32]>::to_vec),
            );
        }
        let model_version = classifier.manifest().model_version.clone();
        let answers = Answers { model_version, scores };
        print(serde_json::to_string(&answers).context("writing the scores as JSON")?)
    }
}
