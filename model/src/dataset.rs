//! [`Dataset`]: all that a training sees of a task's images, parted into what is trained on and what
//! training is judged by. No test image is among them: those come sealed, as a [`TestSet`].

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;

use contract::digest::Digest;
use contract::image::{Image, Shape};
use contract::manifest::DataRecord;
use contract::prediction::Label;
use contract::task::{Generator, Task};
use tch::{Kind, Tensor};

use crate::folders::{self, FolderError};
use crate::idx::{self, IdxError};
use crate::random::{self, Random};
use crate::synthetic::{self, Stream};
use crate::test_set::TestSet;

#[derive(Debug)]
pub struct Dataset {
    /// The task's data name, or `synthetic-…`.
    pub name: String,
    /// Over pixels and labels as decoded, train before test; no part of it depends on the seed.
    pub digest: Digest,
    pub shape: Shape,
    pub classes: usize,
    pub train: Split,
    /// The last so many of `train` came by [`Dataset::add`].
    pub added: usize,
    pub validation: Split,
}

/// Where the images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with the IDX files of the task.
    Idx(PathBuf),
    /// The folders that the task names.
    Folders,
    /// The task's generator.
    Synthetic,
}

/// How many of the training images validate instead, and which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Holdout {
    /// Of each class, rounded to whole images.
    pub share: f64,
    pub seed: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    Idx(#[from] IdxError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the task `{task}` names no {what}")]
    NotNamed { task: String, what: &'static str },
    #[error("{images} training images are too few to hold a share of {share} out of each class")]
    TooFew { images: usize, share: f64 },
}

/// Enough for a classifier that does well on its own kind of pictures, drawn in about a second.
const SYNTHETIC_TRAIN: usize = 30_000;
const SYNTHETIC_TEST: usize = 5_000;
/// Generated data is one data set, like a downloaded one: the seed of a training does not change it.
const SYNTHETIC_SEED: u64 = 0;

impl Dataset {
    pub fn load(
        task: &Task,
        source: &Source,
        holdout: Holdout,
    ) -> Result<(Self, TestSet), DatasetError> {
        let (name, train, test) = read(task, source)?;
        Self::part(name, task.classes.len(), &train, test, holdout)
    }

    /// The data's name and its test images alone, for a model that is final.
    pub fn load_test(task: &Task, source: &Source) -> Result<(String, Split), DatasetError> {
        let (name, _, test) = read(task, source)?;
        Ok((name, test))
    }

    fn part(
        name: String,
        classes: usize,
        train: &Split,
        test: Split,
        holdout: Holdout,
    ) -> Result<(Self, TestSet), DatasetError> {
        let digest = digest(train, &test);
        let (train_positions, validation_positions) = stratify(train.labels(), classes, holdout);
        if train_positions.is_empty() || validation_positions.is_empty() {
            return Err(DatasetError::TooFew { images: train.len(), share: holdout.share });
        }
        let dataset = Self {
            name,
            digest,
            shape: train.shape,
            classes,
            validation: train.select(&validation_positions),
            train: train.select(&train_positions),
            added: 0,
        };
        Ok((dataset, TestSet::new(test)))
    }

    /// Trains on these, too. None of them validates or tests. One that is trained on, validates or tests already stays
    /// out, whatever it is called now: returns how many those are.
    pub fn add(&mut self, more: &Split, test: &TestSet) -> usize {
        let known: HashSet<&[u8]> = self.validation.each().chain(self.train.each()).collect();
        let is_new = |pixels: &[u8]| !known.contains(pixels) && !test.has(pixels);
        let of_more = more.each().enumerate();
        let positions: Vec<usize> =
            of_more.filter(|(_, pixels)| is_new(pixels)).map(|(at, _)| at).collect();
        let added = more.select(&positions);
        if !added.is_empty() {
            let both = [*self.digest.bytes(), *digest(&added, &more.select(&[])).bytes()];
            self.digest = Digest::of(both.as_flattened());
        }
        self.added += added.len();
        self.train.pixels.extend_from_slice(&added.pixels);
        self.train.labels.extend_from_slice(&added.labels);
        more.len() - added.len()
    }

    pub fn record(&self, test: &TestSet) -> DataRecord {
        DataRecord {
            name: self.name.clone(),
            digest: self.digest,
            train: self.train.len(),
            added: self.added,
            validation: self.validation.len(),
            test: test.len(),
        }
    }
}

fn read(task: &Task, source: &Source) -> Result<(String, Split, Split), DatasetError> {
    let not_named = |what| DatasetError::NotNamed { task: task.name.clone(), what };
    let (shape, classes) = (task.input, task.classes.len());
    match source {
        Source::Idx(folder) => {
            let files = task.data.idx.as_ref().ok_or_else(|| not_named("IDX files"))?;
            let train = idx::read_pair(folder, &files.train, shape, classes)?;
            let test = idx::read_pair(folder, &files.test, shape, classes)?;
            Ok((task.data.name.clone(), train, test))
        }
        Source::Folders => {
            let named = task.data.folders.as_ref().ok_or_else(|| not_named("folders"))?;
            let read = |folder: &str| folders::read(folder.as_ref(), task);
            Ok((task.data.name.clone(), read(&named.train)?, read(&named.test)?))
        }
        Source::Synthetic => {
            let generator = task.data.synthetic.ok_or_else(|| not_named("generator"))?;
            let train = draw(generator, shape, Stream::Train, SYNTHETIC_TRAIN);
            let test = draw(generator, shape, Stream::Test, SYNTHETIC_TEST);
            Ok((generator.data_name().to_owned(), train, test))
        }
    }
}

fn draw(generator: Generator, shape: Shape, stream: Stream, count: usize) -> Split {
    let pictures = synthetic::draw(generator, shape, stream, count, SYNTHETIC_SEED);
    let labels = pictures.labels.into_iter().map(Label::from).collect();
    Split::new(shape, pictures.pixels, labels)
}

/// Positions to train on and positions to validate with, both ascending.
fn stratify(labels: &[Label], classes: usize, holdout: Holdout) -> (Vec<usize>, Vec<usize>) {
    let mut validation = Vec::new();
    for class in 0..classes {
        let mut members: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
        let mut random = Random::new([holdout.seed, random::HOLDOUT, class as u64, 0]);
        random.shuffle(&mut members);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count is between 0 and the count"
        )]
        let held_out = (members.len() as f64 * holdout.share).round() as usize;
        validation.extend_from_slice(&members[..held_out.min(members.len())]);
    }
    validation.sort_unstable();
    let mut is_held_out = vec![false; labels.len()];
    for &i in &validation {
        is_held_out[i] = true;
    }
    ((0..labels.len()).filter(|&i| !is_held_out[i]).collect(), validation)
}

fn digest(train: &Split, test: &Split) -> Digest {
    let labels = |split: &Split| -> Vec<u8> {
        split.labels.iter().flat_map(|&label| (label as u64).to_le_bytes()).collect()
    };
    let (train_labels, test_labels) = (labels(train), labels(test));
    let all = train
        .pixels
        .as_slice()
        .chain(&train_labels[..])
        .chain(&test.pixels[..])
        .chain(&test_labels[..]);
    Digest::of_reader(all).expect("reading from memory cannot fail")
}

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    shape: Shape,
    pixels: Vec<u8>,
    labels: Vec<Label>,
}

impl Split {
    /// `pixels` holds one image of `shape` per label, each `[height][width][channels]`.
    pub fn new(shape: Shape, pixels: Vec<u8>, labels: Vec<Label>) -> Self {
        assert_eq!(pixels.len(), labels.len() * shape.len(), "one label per image");
        Self { shape, pixels, labels }
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// `[image][height][width][channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Of each image its pixels.
    pub(crate) fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.pixels.chunks_exact(self.shape.len())
    }

    pub fn images(&self) -> impl ExactSizeIterator<Item = Image> + '_ {
        self.pixels
            .chunks_exact(self.shape.len())
            .map(|pixels| Image::new(self.shape, pixels).expect("a chunk of the shape's length"))
    }

    /// `[N, C, H, W]` bytes, channels last in memory.
    pub fn pixels_tensor(&self) -> Tensor {
        let Shape { height, width, channels } = self.shape;
        let sizes = [self.len(), height, width, channels].map(|size| size as i64);
        Tensor::from_slice(&self.pixels).view(sizes).permute([0, 3, 1, 2])
    }

    /// `[N]` 64-bit integers.
    pub fn labels_tensor(&self) -> Tensor {
        let labels: Vec<i64> = self.labels.iter().map(|&label| label as i64).collect();
        Tensor::from_slice(&labels).to_kind(Kind::Int64)
    }

    /// The images at `positions`, in that order.
    pub(crate) fn select(&self, positions: &[usize]) -> Self {
        let size = self.shape.len();
        let mut pixels = Vec::with_capacity(positions.len() * size);
        for &i in positions {
            pixels.extend_from_slice(&self.pixels[i * size..(i + 1) * size]);
        }
        let labels = positions.iter().map(|&i| self.labels[i]).collect();
        Self { shape: self.shape, pixels, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 8, width: 8, channels: 1 };

    /// Image i is filled with i.
    fn numbered(labels: &[Label]) -> Split {
        let pixels = (0..labels.len()).flat_map(|i| vec![u8::try_from(i).unwrap(); SHAPE.len()]);
        Split::new(SHAPE, pixels.collect(), labels.to_vec())
    }

    fn part(train: &Split, share: f64, seed: u64) -> Result<Dataset, DatasetError> {
        let test = numbered(&[0, 1]);
        let parted = Dataset::part("toy".to_owned(), 2, train, test, Holdout { share, seed })?;
        Ok(parted.0)
    }

    #[test]
    fn validation_takes_the_same_share_of_every_class_and_training_keeps_the_rest() {
        let labels: Vec<Label> = (0..200).map(|i| usize::from(i % 4 == 0)).collect();
        let train = numbered(&labels);
        let dataset = part(&train, 0.1, 0).unwrap();
        let of_class = |label| dataset.validation.labels().iter().filter(|l| **l == label).count();
        assert_eq!((of_class(0), of_class(1)), (15, 5));
        let mut seen: Vec<u8> = [&dataset.train, &dataset.validation]
            .iter()
            .flat_map(|split| split.pixels().iter().step_by(SHAPE.len()).copied())
            .collect();
        for split in [&dataset.train, &dataset.validation] {
            for (image, &label) in split.images().zip(split.labels()) {
                assert_eq!(labels[usize::from(image.pixels()[0])], label, "labels follow images");
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<u8>>());
    }

    #[test]
    fn the_seed_chooses_the_validation_images_and_the_digest_does_not_see_it() {
        let train = numbered(&[0, 1].repeat(50));
        let [first, same, other] = [0, 0, 1].map(|seed| part(&train, 0.2, seed).unwrap());
        assert_eq!(first.validation, same.validation);
        assert_ne!(first.validation, other.validation);
        assert_eq!(first.digest, other.digest);
        let mut swapped = [0, 1].repeat(50);
        swapped.swap(0, 1);
        assert_ne!(first.digest, part(&numbered(&swapped), 0.2, 0).unwrap().digest);
    }

    #[test]
    fn what_is_added_is_trained_on_and_nothing_else_and_what_is_held_out_stays_so() {
        let train = numbered(&[0, 1].repeat(50));
        let tested = Split::new(SHAPE, vec![200; SHAPE.len()], vec![0]);
        let holdout = Holdout { share: 0.2, seed: 0 };
        let (mut dataset, test) =
            Dataset::part("toy".to_owned(), 2, &train, tested, holdout).unwrap();
        let before = dataset.record(&test);
        let validating = dataset.validation.each().next().unwrap().to_vec();
        let more = |fills: &[u8]| {
            let pixels = fills.iter().flat_map(|&fill| vec![fill; SHAPE.len()]).collect();
            Split::new(SHAPE, pixels, vec![1; fills.len()])
        };
        assert_eq!(dataset.add(&more(&[validating[0], 200]), &test), 2);
        assert_eq!(dataset.record(&test), before, "nothing was added");
        assert_eq!(dataset.add(&more(&[201, 202, 200]), &test), 1);
        let after = dataset.record(&test);
        assert_eq!((after.added, after.train), (2, before.train + 2));
        assert_eq!((after.validation, after.test), (before.validation, before.test));
        assert_ne!(after.digest, before.digest);
        assert_eq!(dataset.train.labels().last(), Some(&1));
        assert_eq!(dataset.train.each().last(), Some(&vec![202; SHAPE.len()][..]));
    }

    #[test]
    fn too_few_images_to_validate_with_are_an_error() {
        let error = part(&numbered(&[0, 1, 0, 1]), 0.1, 0).unwrap_err();
        assert!(matches!(error, DatasetError::TooFew { images: 4, .. }), "{error}");
    }

    #[test]
    fn a_tensor_holds_the_image_with_its_channels_first() {
        let shape = Shape { height: 8, width: 9, channels: 3 };
        let pixels: Vec<u8> = (0..=215).collect();
        let tensor = Split::new(shape, pixels, vec![0]).pixels_tensor();
        assert_eq!(tensor.size(), [1, 3, 8, 9]);
        // Row 1, column 2, second channel.
        assert_eq!(tensor.int64_value(&[0, 1, 1, 2]), (9 + 2) * 3 + 1);
    }
}
