//! A model that is trained in a moment, and its artifact.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use contract::digest::Digest;
use contract::image::{Image, Shape};
use contract::manifest::SourceRecord;
use contract::task::{Generator, Task};
use model::artifact::{Destination, write};
use model::dataset::{Dataset, Split};
use model::recipe::Recipe;
use model::synthetic::{self, Stream};
use model::test_set::TestSet;
use model::training::{Plan, Trained, Trainer};
use tempfile::TempDir;

pub(crate) const TASK: &str = "
name: toy
title: A toy
input: { height: 28, width: 28, channels: 1 }
classes: [zero, one, two, three, four, five, six, seven, eight, nine]
normalisation: { mean: [0.13], std: [0.31] }
picture: centred-ink
data: { name: toy-photos, folders: { train: toy-photos/train, test: toy-photos/test }, synthetic: digits }
";

pub(crate) const RECIPE: &str = "
net: { blocks: [{ channels: 8, kernel: 5, stride: 2 }, { channels: 16, stride: 2 }], head: flatten }
epochs: 1
batch: 64
schedule: { peak: 0.2 }
";

pub(crate) fn task() -> Task {
    Task::from_yaml(TASK).unwrap()
}

pub(crate) fn split(stream: Stream, count: usize) -> Split {
    let shape = Shape { height: 28, width: 28, channels: 1 };
    let pictures = synthetic::draw(Generator::Digits, shape, stream, count, 1);
    let labels = pictures.labels.iter().map(|&label| usize::from(label)).collect();
    Split::new(shape, pictures.pixels, labels)
}

pub(crate) fn test_split() -> Split {
    split(Stream::Test, 500)
}

pub(crate) fn dataset() -> Arc<Dataset> {
    let (train, test) = (split(Stream::Train, 3000), test_split());
    Arc::new(Dataset {
        added: 0,
        name: "synthetic-digits".to_owned(),
        digest: Digest::of(test.pixels()),
        shape: train.shape(),
        classes: 10,
        validation: test,
        train,
    })
}

pub(crate) fn train(dataset: &Arc<Dataset>, seed: u64) -> Trained {
    let plan = Plan {
        recipe: Recipe::from_yaml(RECIPE, Path::new("toy.yaml")).unwrap(),
        recipe_name: "toy".to_owned(),
        normalisation: task().normalisation,
        seed,
        threads: 1,
        device: tch::Device::Cpu,
        compression: None,
    };
    let mut trainer = Trainer::new(plan, Arc::clone(dataset)).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    trainer.finish()
}

pub(crate) fn write_to(folder: &Path, seed: u64) -> PathBuf {
    let dataset = dataset();
    let trained = train(&dataset, seed);
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Within(folder.to_owned());
    let test = TestSet::new(test_split());
    write(&trained, &task(), &dataset, test, source, &destination).unwrap()
}

/// Trained once for all tests; never changed by one.
pub(crate) fn artifact() -> &'static Path {
    static ARTIFACT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ARTIFACT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = write_to(folder.path(), 0);
        (folder, path)
    });
    path
}

/// A copy to be spoiled.
pub(crate) fn copy() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("artifact");
    fs_err::create_dir(&path).unwrap();
    for entry in fs_err::read_dir(artifact()).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    (folder, path)
}

pub(crate) fn test_images(count: usize) -> Vec<Image> {
    split(Stream::Test, count).images().collect()
}
