//! What is written is what is served; whatever happened to it in between, nothing wrong is served.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use contract::artifact::{Artifact, EVALUATION, MANIFEST, MODEL, WEIGHTS};
use contract::atomic::is_partial;
use contract::digest::Digest;
use contract::image::{Image, Shape};
use contract::manifest::{ModelVersion, SourceRecord};
use contract::prediction::{Prediction, Scores};
use contract::task::{Generator, Task};
use model::artifact::{Destination, write};
use model::classifier::Classifier;
use model::dataset::{Dataset, Split};
use model::recipe::Recipe;
use model::synthetic::{self, Stream};
use model::training::{Plan, Trained, Trainer};
use tempfile::TempDir;

const TASK: &str = "
name: toy
title: A toy
input: { height: 28, width: 28, channels: 1 }
classes: [zero, one, two, three, four, five, six, seven, eight, nine]
normalisation: { mean: [0.13], std: [0.31] }
picture: centred-ink
data: { name: toy, synthetic: digits }
";

const RECIPE: &str = "
net: { blocks: [{ channels: 8, kernel: 5, stride: 2 }, { channels: 16, stride: 2 }], head: flatten }
epochs: 1
batch: 64
schedule: { peak: 0.2 }
";

fn task() -> Task {
    Task::from_yaml(TASK).unwrap()
}

fn split(stream: Stream, count: usize) -> Split {
    let shape = Shape { height: 28, width: 28, channels: 1 };
    let pictures = synthetic::draw(Generator::Digits, shape, stream, count, 1);
    let labels = pictures.labels.iter().map(|&label| usize::from(label)).collect();
    Split::new(shape, pictures.pixels, labels)
}

fn dataset() -> Arc<Dataset> {
    let (train, test) = (split(Stream::Train, 3000), split(Stream::Test, 500));
    Arc::new(Dataset {
        name: "synthetic-digits".to_owned(),
        digest: Digest::of(test.pixels()),
        shape: train.shape(),
        classes: 10,
        validation: test.clone(),
        train,
        test,
    })
}

fn train(dataset: &Arc<Dataset>, seed: u64) -> Trained {
    let plan = Plan {
        recipe: Recipe::from_yaml(RECIPE, Path::new("toy.yaml")).unwrap(),
        recipe_name: "toy".to_owned(),
        normalisation: task().normalisation,
        seed,
        threads: 1,
        device: tch::Device::Cpu,
    };
    let mut trainer = Trainer::new(plan, Arc::clone(dataset)).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    trainer.finish()
}

fn write_to(folder: &Path, seed: u64) -> PathBuf {
    let dataset = dataset();
    let trained = train(&dataset, seed);
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Within(folder.to_owned());
    write(&trained, &task(), &dataset, source, &destination).unwrap()
}

/// Trained once for all tests; never changed by one.
fn artifact() -> &'static Path {
    static ARTIFACT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ARTIFACT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = write_to(folder.path(), 0);
        (folder, path)
    });
    path
}

/// A copy to be spoiled.
fn copy() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("artifact");
    fs_err::create_dir(&path).unwrap();
    for entry in fs_err::read_dir(artifact()).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    (folder, path)
}

fn test_images(count: usize) -> Vec<Image> {
    split(Stream::Test, count).images().collect()
}

fn assert_close(a: &[Scores], b: &[Scores]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        for (a, b) in a.probabilities().iter().zip(b.probabilities()) {
            assert!((a - b).abs() < 1e-5, "{a} beside {b}");
        }
    }
}

#[test]
fn an_artifact_says_of_itself_what_its_classifier_does() {
    let classifier = Classifier::open(artifact()).unwrap();
    let manifest = classifier.manifest();
    assert!(artifact().ends_with(format!("synthetic-digits-{}", manifest.model_version)));
    assert!(manifest.metrics.accuracy > 0.8, "{}", manifest.metrics.accuracy);
    let predicted: Vec<usize> = classifier
        .classify(&test_images(500))
        .unwrap()
        .into_iter()
        .map(|scores| Prediction::from(scores).label)
        .collect();
    let evaluation = Artifact::open(artifact()).unwrap().evaluation().unwrap();
    assert_eq!(evaluation.predicted(), predicted);
    assert_eq!(evaluation.suite(), "synthetic-digits/test");
    assert_eq!(manifest.metrics.misclassified, evaluation.misclassified());
    assert_eq!(manifest.baseline.ink.total(), 500);
    assert!(manifest.latency.iter().all(|latency| latency.microseconds_per_image > 0.0));
}

#[test]
fn the_batch_does_not_change_a_score() {
    let classifier = Classifier::open(artifact()).unwrap();
    let images = test_images(256);
    let at_once = classifier.classify(&images).unwrap();
    for batch in [1, 7, 64] {
        let parts = images.chunks(batch).flat_map(|part| classifier.classify(part).unwrap());
        assert_close(&at_once, &parts.collect::<Vec<_>>());
    }
    assert!(classifier.classify(&[]).unwrap().is_empty());
}

#[test]
fn the_traced_model_is_the_trained_net() {
    let dataset = dataset();
    let trained = train(&dataset, 3);
    let folder = tempfile::tempdir().unwrap();
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Folder(folder.path().join("here"));
    let path = write(&trained, &task(), &dataset, source, &destination).unwrap();
    let scores = Classifier::open(&path).unwrap().classify(&test_images(100)).unwrap();
    let pixels = model::net::normalise(
        &dataset.test.pixels_tensor().narrow(0, 0, 100),
        &task().normalisation,
    );
    let expected = trained.net.forward_t(&pixels, false).softmax(-1, tch::Kind::Float);
    let expected: Vec<f32> = expected.flatten(0, -1).try_into().unwrap();
    let expected: Vec<Scores> =
        expected.chunks(10).map(|scores| Scores::new(scores).unwrap()).collect();
    assert_close(&scores, &expected);
}

#[test]
fn the_same_seed_gives_the_same_model_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let again = write_to(folder.path(), 0);
    assert_eq!(again.file_name(), artifact().file_name());
    assert_ne!(write_to(folder.path(), 1).file_name(), artifact().file_name());
}

#[test]
fn a_classifier_works_on_the_thread_it_is_sent_to() {
    let classifier = Classifier::open(artifact()).unwrap();
    let here = classifier.classify(&test_images(3)).unwrap();
    let there = std::thread::spawn(move || classifier.classify(&test_images(3)).unwrap());
    assert_close(&here, &there.join().unwrap());
}

#[test]
fn images_of_another_shape_are_refused_and_the_next_ones_answered() {
    let classifier = Classifier::open(artifact()).unwrap();
    let shape = Shape { height: 28, width: 28, channels: 3 };
    let wrong = Image::new(shape, vec![0; shape.len()]).unwrap();
    let error = classifier.classify(&[test_images(1)[0].clone(), wrong]).unwrap_err();
    assert_eq!(error.to_string(), "the model takes 28×28×1 images, not 28×28×3");
    assert_eq!(classifier.classify(&test_images(2)).unwrap().len(), 2);
}

/// The whole chain of causes, as a user sees it.
fn refusal(path: &Path) -> String {
    let error = Classifier::open(path).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[test]
fn a_flipped_byte_in_any_file_is_found() {
    let (_folder, path) = copy();
    let names: Vec<String> =
        Artifact::open(&path).unwrap().manifest().files.keys().cloned().collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let file = path.join(&name);
        let whole = fs_err::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs_err::write(&file, flipped).unwrap();
        let refused = refusal(&path);
        assert!(refused.contains(&name) && refused.contains("was changed"), "{refused}");
        fs_err::write(&file, whole).unwrap();
    }
    Classifier::open(&path).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    for name in [MANIFEST, MODEL, WEIGHTS, EVALUATION, "MODEL_CARD.md"] {
        let (_folder, path) = copy();
        fs_err::remove_file(path.join(name)).unwrap();
        let refused = refusal(&path);
        assert!(refused.contains(name), "{refused}");
    }
}

/// Changes the manifest so that all digests fit again: what no digest can find.
fn forge(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let manifest = path.join(MANIFEST);
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs_err::read(&manifest).unwrap()).unwrap();
    change(&mut json);
    for name in json["files"].as_object().unwrap().keys().cloned().collect::<Vec<_>>() {
        let digest = Digest::of_file(&path.join(&name)).unwrap();
        json["files"][&name] = digest.to_string().into();
        if name == WEIGHTS {
            json["model_digest"] = digest.to_string().into();
            json["model_version"] = ModelVersion::of(&digest).to_string().into();
        }
    }
    fs_err::write(&manifest, serde_json::to_vec(&json).unwrap()).unwrap();
}

#[test]
fn a_manifest_of_another_schema_is_refused() {
    let (_folder, path) = copy();
    forge(&path, |json| json["schema"] = 2.into());
    let refused = refusal(&path);
    assert!(refused.contains("schema 2"), "{refused}");
}

#[test]
fn weights_that_the_manifest_does_not_describe_are_refused() {
    let check = |change: fn(&mut serde_json::Value), part: &str| {
        let (_folder, path) = copy();
        forge(&path, change);
        let refused = refusal(&path);
        assert!(refused.contains(part), "`{part}` missing in: {refused}");
    };
    check(|json| json["tensors"]["head.bias"] = vec![11].into(), "`head.bias` is [10], not [11]");
    check(
        |json| {
            json["tensors"].as_object_mut().unwrap().remove("head.bias");
        },
        "it does not name `head.bias`",
    );
    check(|json| json["tensors"]["extra"] = vec![1].into(), "`extra` is missing");
}

#[test]
fn a_model_that_is_no_torchscript_is_refused() {
    let (_folder, path) = copy();
    fs_err::write(path.join(MODEL), "not a zip").unwrap();
    forge(&path, |_| {});
    let refused = refusal(&path);
    assert!(refused.contains("not TorchScript"), "{refused}");
}

#[test]
fn a_model_for_other_images_or_classes_is_refused() {
    let check = |change: fn(&mut serde_json::Value), part: &str| {
        let (_folder, path) = copy();
        forge(&path, change);
        let refused = refusal(&path);
        assert!(refused.contains("does not classify") && refused.contains(part), "{refused}");
    };
    check(|json| json["task"]["input"]["height"] = 64.into(), "64×28×1");
    check(
        |json| {
            json["task"]["data"].as_object_mut().unwrap().remove("synthetic");
            json["task"]["data"]["folders"] = serde_json::json!({ "train": "a", "test": "b" });
            json["task"]["classes"].as_array_mut().unwrap().pop();
        },
        "9 classes",
    );
}

#[test]
fn the_weights_of_another_model_are_refused() {
    let (_folder, path) = copy();
    let folder = tempfile::tempdir().unwrap();
    let other = write_to(folder.path(), 1);
    fs_err::copy(other.join(WEIGHTS), path.join(WEIGHTS)).unwrap();
    let refused = refusal(&path);
    assert!(refused.contains(WEIGHTS) && refused.contains("was changed"), "{refused}");
}

#[test]
fn a_writer_that_fails_half_way_leaves_nothing_that_looks_whole() {
    let folder = tempfile::tempdir().unwrap();
    let trained = train(&dataset(), 0);
    let mut dataset = Arc::into_inner(dataset()).unwrap();
    // Found only after the model was written: an evaluation of no images is none.
    dataset.test = Split::new(dataset.shape, Vec::new(), Vec::new());
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Within(folder.path().to_owned());
    write(&trained, &task(), &dataset, source, &destination).unwrap_err();
    let left = fs_err::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

/// This test binary runs itself as the writer and kills it at whatever it happens to be doing.
#[test]
#[expect(clippy::disallowed_methods, reason = "the process to be killed is this very test")]
fn a_killed_writer_leaves_nothing_that_looks_whole() {
    const FOLDER: &str = "MODEL_TEST_WRITES_TO";
    if let Ok(folder) = std::env::var(FOLDER) {
        write_to(Path::new(&folder), 0);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_writer_leaves_nothing_that_looks_whole"])
        .env(FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let names = || -> Vec<std::ffi::OsString> {
        let entries = fs_err::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    // Training ends when the hidden folder appears; the model is written into it first.
    while !names().iter().any(|name| is_partial(name)) {
        assert!(writer.try_wait().unwrap().is_none(), "ended before it was killed: {:?}", names());
        std::thread::yield_now();
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    // On a busy machine the writer may have come to its end before it was killed.
    for name in names().into_iter().filter(|name| !is_partial(name)) {
        Classifier::open(&folder.path().join(name)).unwrap();
    }
    let again = write_to(folder.path(), 0);
    assert_eq!(names(), [again.file_name().unwrap()]);
    Classifier::open(&again).unwrap();
}
