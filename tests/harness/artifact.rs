//! Artifacts that nobody trained: whole by every digest, with the Evaluation that a test wants, and
//! nothing in them that could classify.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::artifact::{EVALUATION, MANIFEST, MODEL, ROBUSTNESS, WEIGHTS};
use contract::baseline::Baseline;
use contract::digest::Digest;
use contract::evaluation::Evaluation;
use contract::manifest::{
    DataRecord, Latency, Manifest, Metrics, ModelVersion, SCHEMA, SourceRecord, TrainingRecord,
};
use contract::robustness::{Perturbation, Robustness};

use crate::data;

/// What a gate looks at.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Tells its weights, and so its version, from those of others.
    pub name: &'static str,
    pub data: String,
    /// Of [`IMAGES`] test images.
    pub wrong: Vec<usize>,
    pub batch: usize,
    pub microseconds_per_image: f64,
    pub calibration_error: f64,
    /// Of as many perturbed images; right of those that are not here. None before trainers asked.
    pub perturbed: Option<Vec<(Perturbation, Vec<usize>)>>,
}

pub const IMAGES: usize = 1000;

impl Claims {
    /// One that the shipped policy lets pass.
    pub fn good(name: &'static str) -> Self {
        Self {
            name,
            data: data::task().data.name,
            wrong: vec![1, 2],
            batch: 1,
            microseconds_per_image: 100.0,
            calibration_error: 0.0,
            perturbed: Some(Vec::new()),
        }
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.name.as_bytes())
    }

    /// Writes the artifact's folder below `parent`, named as the trainer names it.
    pub fn write(&self, parent: &Path) -> PathBuf {
        let task = data::task();
        let classes = task.classes.len();
        let evaluation = Self::evaluation(&format!("{}/test", self.data), classes, &self.wrong);
        let version = ModelVersion::of(&self.digest());
        let folder = parent.join(format!("{}-{version}", self.data));
        fs_err::create_dir_all(&folder).expect("a folder");
        let mut files = vec![
            (MODEL, b"no model".to_vec()),
            (WEIGHTS, self.name.as_bytes().to_vec()),
            (EVALUATION, serde_json::to_vec(&evaluation).expect("it has string keys")),
        ];
        files.extend(self.robustness(classes).map(|json| (ROBUSTNESS, json)));
        let digests = files.iter().map(|(name, bytes)| ((*name).to_owned(), Digest::of(bytes)));
        let manifest = Manifest {
            schema: SCHEMA,
            model_version: version,
            model_digest: self.digest(),
            data: DataRecord {
                added: 0,
                name: self.data.clone(),
                digest: Digest::of(b"data"),
                train: 0,
                validation: 0,
                test: IMAGES,
            },
            training: TrainingRecord {
                recipe: "none".to_owned(),
                config: serde_json::Value::Null,
                seed: 0,
                threads: 1,
                device: "cpu".to_owned(),
                epochs: 0,
                parameters: 0,
                seconds: 0.0,
                finished_at: "2026-11-24T00:00:00Z".to_owned(),
            },
            compression: None,
            source: SourceRecord { git_revision: None, dirty: false },
            libtorch: "none".to_owned(),
            metrics: Metrics {
                accuracy: evaluation.accuracy(),
                validation_accuracy: evaluation.accuracy(),
                loss: 0.0,
                calibration_error: self.calibration_error,
                per_class: evaluation.per_class(&task.classes),
                confusion: evaluation.confusion(),
                reliability: Vec::new(),
                misclassified: evaluation.misclassified(),
            },
            baseline: Baseline::new(classes),
            latency: vec![Latency {
                batch: self.batch,
                microseconds_per_image: self.microseconds_per_image,
            }],
            tensors: BTreeMap::new(),
            files: digests.collect(),
            task,
        };
        for (name, bytes) in files {
            fs_err::write(folder.join(name), bytes).expect("a file");
        }
        let json = serde_json::to_vec(&manifest).expect("it has string keys");
        fs_err::write(folder.join(MANIFEST), json).expect("a file");
        folder
    }

    fn evaluation(suite: &str, classes: usize, wrong: &[usize]) -> Evaluation {
        let labels: Vec<usize> = (0..IMAGES).map(|index| index % classes).collect();
        let mut predicted = labels.clone();
        for &index in wrong {
            predicted[index] = (labels[index] + 1) % classes;
        }
        Evaluation::new(suite.to_owned(), classes, labels, predicted).expect("valid labels")
    }

    fn robustness(&self, classes: usize) -> Option<Vec<u8>> {
        let perturbed = self.perturbed.as_ref()?;
        let asked = |perturbation: Perturbation| {
            let wrong = perturbed.iter().find(|(named, _)| *named == perturbation);
            let wrong = wrong.map_or(&[][..], |(_, wrong)| wrong);
            let suite = format!("{}/test, {}", self.data, perturbation.name());
            (perturbation, Self::evaluation(&suite, classes, wrong))
        };
        let robustness: Robustness = Perturbation::ALL.into_iter().map(asked).collect();
        Some(serde_json::to_vec(&robustness).expect("it has string keys"))
    }
}
