//! What the tests know of data: the raw files of the shipped task, read independently of the trainer; its
//! probes; and toy tasks, for whatever does not depend on what is classified.

use std::io::Read;
use std::path::{Path, PathBuf};

use contract::digest::Digest;
use contract::image::{Image, Shape};
use contract::probes::Probes;
use contract::task::{IdxFiles, IdxPair, RemoteFile, Sha256Hex, Task};

use crate::repo;

pub fn task() -> Task {
    let text = fs_err::read_to_string(repo::root().join("model/task.yaml")).expect("task.yaml");
    Task::from_yaml(&text).expect("a valid task")
}

/// Another task than the shipped one, of generated pictures alone.
pub fn toy() -> PathBuf {
    repo::root().join("tests/fixtures/shapes.yaml")
}

/// The toy, as if it had real data too: in files that no mirror has.
pub fn toy_without_a_mirror(folder: &Path) -> PathBuf {
    let text = fs_err::read_to_string(toy()).expect("a fixture");
    let mut task = Task::from_yaml(&text).expect("a valid task");
    let pair = |split: &str| {
        let file = |what: &str| RemoteFile {
            file: format!("{split}-{what}.gz"),
            bytes: 1,
            sha256: Sha256Hex(Digest::of(b"nobody has it")),
        };
        IdxPair { images: file("images"), labels: file("labels") }
    };
    "nowhere".clone_into(&mut task.data.name);
    // Port 9 of this machine is `discard`, where nothing listens.
    let mirrors = ["http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/"].map(str::to_owned).to_vec();
    task.data.idx = Some(IdxFiles { mirrors, train: pair("train"), test: pair("test") });
    let file = folder.join("task.yaml");
    fs_err::write(&file, serde_yaml::to_string(&task).expect("a task is YAML"))
        .expect("the folder is writable");
    file
}

/// The committed probes of the shipped task, and their file.
pub fn probes() -> (Vec<(usize, Image)>, PathBuf) {
    let file = repo::root().join("kustomize/base/smoke/probes.json");
    let json = fs_err::read(&file).expect("probes are committed");
    let (_, pictures) = Probes::from_json(&json).expect("valid probes");
    (pictures, file)
}

/// Where `cargo xtask data fetch` puts the files.
pub fn folder(task: &Task) -> PathBuf {
    repo::home().join("model/data").join(&task.data.name)
}

/// Test images with their labels, in the file's order.
pub fn test_images() -> Vec<(usize, Image)> {
    let task = task();
    let idx = task.data.idx.as_ref().expect("the shipped task has IDX files");
    read_pair(&folder(&task), &idx.test, task.input)
}

fn read_pair(folder: &Path, pair: &IdxPair, shape: Shape) -> Vec<(usize, Image)> {
    // An image file starts with a magic number, a count and two sides; a label file with the first two.
    let images = gunzip(&folder.join(&pair.images.file)).split_off(16);
    let labels = gunzip(&folder.join(&pair.labels.file)).split_off(8);
    let pictures = images.chunks_exact(shape.len());
    assert_eq!(pictures.len(), labels.len());
    labels
        .into_iter()
        .zip(pictures)
        .map(|(label, pixels)| {
            (usize::from(label), Image::new(shape, pixels).expect("whole images"))
        })
        .collect()
}

pub fn gunzip(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(
        fs_err::File::open(path).expect("`cargo xtask data fetch` was run"),
    )
    .read_to_end(&mut bytes)
    .expect("a whole gzip file");
    bytes
}
