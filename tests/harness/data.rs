//! The raw files of the task's data set, read independently of the trainer.

use std::io::Read;
use std::path::{Path, PathBuf};

use contract::image::{Image, Shape};
use contract::task::{IdxPair, Task};

use crate::repo;

pub fn task() -> Task {
    let text = fs_err::read_to_string(repo::root().join("model/task.yaml")).expect("task.yaml");
    Task::from_yaml(&text).expect("a valid task")
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
