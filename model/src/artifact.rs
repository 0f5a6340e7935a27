//! Writes an artifact folder. It appears whole or not at all, and every figure in it was measured on the
//! very file that will serve: the traced module, loaded back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::artifact::{CARD, EVALUATION, MANIFEST, METRICS, MODEL, ROBUSTNESS, WEIGHTS};
use contract::atomic::AtomicDir;
use contract::digest::Digest;
use contract::evaluation::{Evaluation, InvalidEvaluation};
use contract::manifest::{Latency, Manifest, ModelVersion, SCHEMA, SourceRecord, TrainingRecord};
use contract::prediction::Prediction;
use contract::robustness::{Perturbation, Robustness};
use contract::task::Task;
use tch::{CModule, TchError};

use crate::classifier::{InferenceError, Module, Weights};
use crate::compress::int8;
use crate::dataset::{Dataset, Split};
use crate::tensors::{self, Tensors, TensorsError};
use crate::test_set::TestSet;
use crate::training::Trained;
use crate::{bench, card, evaluation, plots, robustness, trace};

/// The only version that this version of tch builds with.
const LIBTORCH: &str = "2.13.0";
const WORST_MISTAKES: usize = 36;
const LATENCY_TIME: Duration = Duration::from_millis(60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// This folder, replaced if it is there.
    Folder(PathBuf),
    /// `<data>-<model version>` in this folder.
    Within(PathBuf),
}

impl Destination {
    /// To be asked before a training, not after it.
    pub fn demand_writable(&self) -> io::Result<()> {
        match self {
            Self::Folder(path) => AtomicDir::create(path),
            Self::Within(folder) => AtomicDir::create(&folder.join("artifact")),
        }
        .map(drop)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the artifact could not be written")]
    File(#[from] io::Error),
    #[error("the weights could not be written")]
    Weights(#[from] TensorsError),
    #[error("the net could not be traced")]
    Trace(#[from] TchError),
    #[error("the traced model does not work; no artifact was written")]
    Inference(#[from] InferenceError),
    #[error("the test set is no test")]
    Evaluation(#[from] InvalidEvaluation),
    #[error("a record could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Evaluates on the test set and writes everything; returns the folder.
pub fn write(
    trained: &Trained,
    task: &Task,
    dataset: &Dataset,
    test: TestSet,
    source: SourceRecord,
    destination: &Destination,
) -> Result<PathBuf, WriteError> {
    let data = dataset.record(&test);
    let form = Weights::of(trained.plan.compression.as_ref());
    let variables = variables(trained, form);
    let weights = tensors::to_bytes(&variables, None)?;
    let model_digest = Digest::of(&weights);
    let model_version = ModelVersion::of(&model_digest);
    let path = match destination {
        Destination::Folder(path) => path.clone(),
        Destination::Within(folder) => folder.join(format!("{}-{model_version}", dataset.name)),
    };
    let mut folder = Folder { dir: AtomicDir::create(&path)?, files: BTreeMap::new() };
    folder.add(WEIGHTS, &weights)?;
    let model = folder.dir.path().join(MODEL);
    let traced = traced(trained, form, task)?;
    reserve(&model, 2 * weights.len() + CODE)?;
    traced.save(&model)?;
    folder.record(MODEL)?;

    let module = Module::load(&model, task.input, task.classes.len(), form)?;
    let test = test.open(trained);
    let measured = Measured::of(&module, task, dataset, &test)?;
    folder.add(EVALUATION, &serde_json::to_vec(&measured.evaluation)?)?;
    let robustness = robustness(&module, &dataset.name, task.classes.len(), &test)?;
    folder.add(ROBUSTNESS, &serde_json::to_vec(&robustness)?)?;
    let mut metrics = Vec::new();
    for epoch in &trained.epochs {
        serde_json::to_writer(&mut metrics, epoch)?;
        metrics.push(b'\n');
    }
    folder.add(METRICS, &metrics)?;

    let mut manifest = Manifest {
        schema: SCHEMA,
        model_version,
        model_digest,
        task: task.trained_on(&data.name),
        data,
        training: training_record(trained)?,
        compression: trained.plan.compression.clone(),
        source,
        libtorch: LIBTORCH.to_owned(),
        metrics: evaluation::metrics(
            &task.classes,
            &measured.evaluation,
            &measured.predictions,
            measured.validation_accuracy,
        ),
        baseline: evaluation::baseline(task.classes.len(), &test, &measured.predictions),
        latency: latency(&module)?,
        tensors: variables.iter().map(|(name, v)| (name.clone(), tensors::shape(v))).collect(),
        files: BTreeMap::new(),
    };
    draw(&mut folder, trained, &test, &manifest, &measured)?;
    folder.add(CARD, card::card(&manifest).as_bytes())?;
    manifest.files = folder.files;
    // Not among its own files, so it is written past `add`.
    let mut json = serde_json::to_vec_pretty(&manifest)?;
    json.push(b'\n');
    fs_err::write(folder.dir.path().join(MANIFEST), json)?;
    folder.dir.commit()?;
    Ok(path)
}

/// What the file of the weights holds.
fn variables(trained: &Trained, weights: Weights) -> Tensors {
    let variables = trained.vars.variables().into_iter().collect();
    match weights {
        Weights::Floats => variables,
        Weights::Int8 => int8::packed(&variables),
    }
}

fn traced(trained: &Trained, weights: Weights, task: &Task) -> Result<CModule, TchError> {
    let net = trained.net.folded();
    match weights {
        Weights::Floats => trace::trace(&net, task),
        Weights::Int8 => trace::trace(&net.in_int8(), task),
    }
}

/// More than the code of a traced net takes.
const CODE: usize = 256 << 10;

/// Where a disk is full, libtorch ends the process without an error: so the space it will need is taken
/// first, by a file that it replaces.
fn reserve(path: &Path, bytes: usize) -> io::Result<()> {
    fs_err::write(path, vec![0; bytes])
}

struct Folder {
    dir: AtomicDir,
    files: BTreeMap<String, Digest>,
}

impl Folder {
    fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        fs_err::write(self.dir.path().join(name), content)?;
        self.record(name)
    }

    fn record(&mut self, name: &str) -> io::Result<()> {
        let digest = Digest::of_file(&self.dir.path().join(name))?;
        self.files.insert(name.to_owned(), digest);
        Ok(())
    }
}

struct Measured {
    evaluation: Evaluation,
    predictions: Vec<Prediction>,
    validation_accuracy: f64,
}

impl Measured {
    fn of(
        module: &Module,
        task: &Task,
        dataset: &Dataset,
        test: &Split,
    ) -> Result<Self, WriteError> {
        let validation = evaluation::predict(&dataset.validation, |i| module.classify(i))?;
        let predictions = evaluation::predict(test, |i| module.classify(i))?;
        let suite = format!("{}/test", dataset.name);
        let labels = test.labels();
        Ok(Self {
            evaluation: evaluation::evaluation(suite, task.classes.len(), labels, &predictions)?,
            predictions,
            validation_accuracy: evaluation::accuracy(dataset.validation.labels(), &validation),
        })
    }
}

/// On part of the test images, changed.
fn robustness(
    module: &Module,
    data: &str,
    classes: usize,
    test: &Split,
) -> Result<Robustness, WriteError> {
    let images = robustness::sample(test, classes);
    let answered = |perturbation| {
        let perturbed = robustness::perturbed(&images, perturbation);
        let predictions = evaluation::predict(&perturbed, |i| module.classify(i))?;
        let suite = robustness::suite(data, perturbation);
        let labels = perturbed.labels();
        Ok((perturbation, evaluation::evaluation(suite, classes, labels, &predictions)?))
    };
    on_one_thread(|| Perturbation::ALL.into_iter().map(answered).collect())
}

fn latency(module: &Module) -> Result<Vec<Latency>, InferenceError> {
    let forward =
        || bench::forward(module.shape(), &bench::BATCHES, LATENCY_TIME, |i| module.classify(i));
    Ok(on_one_thread(forward)?.into_iter().map(Latency::from).collect())
}

/// Whatever training used. More would wait for each other longer than they compute, wherever another program
/// has a core.
fn on_one_thread<T>(compute: impl FnOnce() -> T) -> T {
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let computed = compute();
    tch::set_num_threads(threads);
    computed
}

fn training_record(trained: &Trained) -> Result<TrainingRecord, serde_json::Error> {
    let plan = &trained.plan;
    Ok(TrainingRecord {
        recipe: plan.recipe_name.clone(),
        config: serde_json::to_value(&plan.recipe)?,
        seed: plan.seed,
        threads: plan.threads,
        device: format!("{:?}", plan.device).to_lowercase(),
        epochs: plan.recipe.epochs,
        parameters: trained.parameters,
        seconds: trained.seconds,
        finished_at: trained.finished_at.to_string(),
    })
}

fn draw(
    folder: &mut Folder,
    trained: &Trained,
    test: &Split,
    manifest: &Manifest,
    measured: &Measured,
) -> io::Result<()> {
    let Manifest { task, metrics, data, .. } = manifest;
    let suite = measured.evaluation.suite();
    let worst = plots::worst(test, &measured.predictions, WORST_MISTAKES);
    let total = metrics.misclassified.len();
    let files = [
        ("learning-curves.svg", plots::learning_curves(&data.name, &trained.epochs)),
        ("confusion.svg", plots::confusion(suite, &task.classes, &metrics.confusion)),
        (
            "reliability.svg",
            plots::reliability(suite, &metrics.reliability, metrics.calibration_error),
        ),
        ("mistakes.svg", plots::mistakes(suite, &task.classes, &worst, total)),
    ];
    files.iter().try_for_each(|(name, svg)| folder.add(name, svg.as_bytes()))
}
