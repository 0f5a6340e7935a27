//! Test images, changed in ways that keep their class. The same images are changed in the same way by every
//! training on every machine, so that two models answered the very same pictures.

use contract::image::Shape;
use contract::robustness::Perturbation;

use crate::augment::{self, Augment, Batch};
use crate::dataset::Split;
use crate::random::{self, Random};

/// Enough to see half a percent, answered in a fraction of a second.
const IMAGES: usize = 2000;
/// Of large images fewer, so that a sample takes no more bytes than this, and its copies a few times as many.
const BYTES: usize = 64 << 20;
/// Share of the larger side.
const SHIFT: f64 = 0.1;
/// Degrees.
const ROTATE: f64 = 20.0;
/// Share of the larger side by which what is bright grows in each direction, at least one pixel.
const THICKEN: f64 = 1.0 / 28.0;
/// Standard deviation, of 1 between black and white.
const NOISE: f32 = 0.15;

/// What an evaluation on these pictures is called: all that decides what they look like.
pub fn suite(data: &str, perturbation: Perturbation) -> String {
    let how = match perturbation {
        Perturbation::Shift => format!("by up to {SHIFT:.2} of the side"),
        Perturbation::Rotate => format!("by up to {ROTATE:.0} degrees"),
        Perturbation::Thicken => format!("by {THICKEN:.3} of the side"),
        Perturbation::Noise => format!("of deviation {NOISE:.2}"),
        Perturbation::Invert => "all pixels".to_owned(),
    };
    format!("{data}/test, {} {how}", perturbation.name())
}

/// Of each class the same share, so that [`IMAGES`] are left and a few more for rounding; all where there are
/// fewer.
pub fn sample(test: &Split, classes: usize) -> Split {
    let wanted = IMAGES.min(BYTES / test.shape().len());
    let mut positions = Vec::new();
    for class in 0..classes {
        let mut members: Vec<usize> =
            (0..test.len()).filter(|&i| test.labels()[i] == class).collect();
        Random::new([0, random::PERTURB, class as u64, 0]).shuffle(&mut members);
        members.truncate((members.len() * wanted).div_ceil(test.len().max(1)));
        positions.extend(members);
    }
    positions.sort_unstable();
    test.select(&positions)
}

/// As many images, with the same labels.
pub fn perturbed(images: &Split, perturbation: Perturbation) -> Split {
    let Shape { height, width, .. } = images.shape();
    let side = height.max(width) as f64;
    match perturbation {
        Perturbation::Shift => {
            moved(images, &Augment { shift: SHIFT * side, ..Augment::default() })
        }
        Perturbation::Rotate => moved(images, &Augment { rotate: ROTATE, ..Augment::default() }),
        Perturbation::Thicken => {
            each(images, |_, image| thickened(image, images.shape(), pixels(THICKEN * side)))
        }
        Perturbation::Noise => each(images, noisy),
        Perturbation::Invert => {
            each(images, |_, image| image.iter().map(|pixel| 255 - pixel).collect())
        }
    }
}

/// By amounts drawn as in training.
fn moved(images: &Split, augment: &Augment) -> Split {
    let positions: Vec<usize> = (0..images.len()).collect();
    let batch = Batch { images, positions: &positions, seed: 0, epoch: 0 };
    let pixels = augment::apply(augment, batch).into_iter().map(pixel).collect();
    Split::new(images.shape(), pixels, images.labels().to_vec())
}

fn each(images: &Split, change: impl Fn(usize, &[u8]) -> Vec<u8>) -> Split {
    let single = images.pixels().chunks_exact(images.shape().len());
    let pixels = single.enumerate().flat_map(|(i, image)| change(i, image)).collect();
    Split::new(images.shape(), pixels, images.labels().to_vec())
}

/// Each pixel the brightest of itself and its four neighbours, once per pixel of growth.
fn thickened(image: &[u8], shape: Shape, growth: usize) -> Vec<u8> {
    let Shape { height, width, channels } = shape;
    let mut image = image.to_vec();
    for _ in 0..growth {
        let thin = image.clone();
        let at = |y: usize, x: usize, channel: usize| thin[(y * width + x) * channels + channel];
        for (i, pixel) in image.iter_mut().enumerate() {
            let (y, x, channel) = (i / channels / width, i / channels % width, i % channels);
            let rows = [y.saturating_sub(1), (y + 1).min(height - 1)].map(|y| at(y, x, channel));
            let columns = [x.saturating_sub(1), (x + 1).min(width - 1)].map(|x| at(y, x, channel));
            *pixel = rows.into_iter().chain(columns).fold(*pixel, u8::max);
        }
    }
    image
}

fn noisy(position: usize, image: &[u8]) -> Vec<u8> {
    let mut random = Random::new([1, random::PERTURB, position as u64, 0]);
    image.iter().map(|&old| pixel(f32::from(old) + 255.0 * NOISE * random.bell())).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a pixel holds"
)]
fn pixel(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small share of a side"
)]
fn pixels(length: f64) -> usize {
    length.round().max(1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 9, width: 9, channels: 1 };

    /// A bright point in the middle of each image.
    fn points(labels: Vec<usize>) -> Split {
        let mut pixels = vec![10; labels.len() * SHAPE.len()];
        for image in pixels.chunks_exact_mut(SHAPE.len()) {
            image[SHAPE.len() / 2] = 240;
        }
        Split::new(SHAPE, pixels, labels)
    }

    fn positions(images: &Split, value: u8) -> Vec<usize> {
        let pixels = images.pixels().iter().enumerate();
        pixels.filter(|(_, pixel)| **pixel == value).map(|(i, _)| i).collect()
    }

    #[test]
    fn every_perturbation_changes_pixels_keeps_labels_and_is_the_same_again() {
        let images = points(vec![0, 1, 1]);
        for perturbation in Perturbation::ALL {
            let changed = perturbed(&images, perturbation);
            assert_eq!(changed.labels(), images.labels());
            assert_ne!(changed.pixels(), images.pixels(), "{perturbation:?}");
            assert_eq!(changed, perturbed(&images, perturbation));
        }
    }

    #[test]
    fn a_point_grows_by_its_neighbours_and_inverted_is_dark() {
        let images = points(vec![0]);
        let thick = perturbed(&images, Perturbation::Thicken);
        assert_eq!(positions(&thick, 240), [31, 39, 40, 41, 49]);
        let inverted = perturbed(&images, Perturbation::Invert);
        assert_eq!((inverted.pixels()[0], inverted.pixels()[SHAPE.len() / 2]), (245, 15));
    }

    #[test]
    fn colours_grow_each_on_its_own_and_by_more_in_a_larger_picture() {
        let shape = Shape { height: 56, width: 8, channels: 3 };
        let mut pixels = vec![0; shape.len()];
        pixels[3] = 200;
        let thick = perturbed(&Split::new(shape, pixels, vec![0]), Perturbation::Thicken);
        // From row 0, column 1: as far as two steps lead, and in the first of three channels.
        let reached = [0, 1, 2, 3, 8, 9, 10, 17].map(|position| 3 * position);
        assert_eq!(positions(&thick, 200), reached);
    }

    #[test]
    fn a_sample_has_the_same_share_of_every_class_and_of_few_images_all() {
        let labels = (0..8000).map(|i| usize::from(i % 4 == 0)).collect();
        let sample = super::sample(&points(labels), 2);
        let of_class = |class| sample.labels().iter().filter(|label| **label == class).count();
        assert_eq!((of_class(0), of_class(1)), (1500, 500));
        let few = points(vec![0, 1, 1]);
        assert_eq!(super::sample(&few, 2), few);
        assert_eq!(super::sample(&points(Vec::new()), 2).len(), 0);
    }
}
