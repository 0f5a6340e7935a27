//! Changes to training images that keep their label: affine, elastic, erasing.
//!
//! Plain loops over one image at a time: its random numbers depend on the seed, the epoch and its
//! position alone, so neither threads nor batches change what comes out.

use contract::image::Shape;
use serde::{Deserialize, Serialize};

use crate::dataset::Split;
use crate::random::{self, Random};

/// Every amount is the most that is drawn, evenly around no change.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Degrees.
    pub rotate: f64,
    /// Share of the size.
    pub scale: f64,
    /// Share of the size by which height and width differ.
    pub stretch: f64,
    /// Sideways pixels per pixel of height.
    pub shear: f64,
    /// Pixels.
    pub shift: f64,
    /// Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
    /// visual document analysis", 2003; displacements are drawn on a coarse grid and interpolated, which
    /// costs less than their blurred field.
    pub elastic: Elastic,
    pub erase: Erase,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elastic {
    /// Pixels.
    pub amplitude: f64,
    /// Grid points along a side.
    pub grid: usize,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { amplitude: 0.0, grid: 5 }
    }
}

/// Zhong et al., "Random erasing data augmentation", 2017: a rectangle turned black.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Erase {
    pub probability: f64,
    /// Longest side as a share of the image's.
    pub side: f64,
}

impl Default for Erase {
    fn default() -> Self {
        Self { probability: 0.0, side: 0.3 }
    }
}

const MAX_GRID: usize = 16;

impl Augment {
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let fields = [
            ("rotate", self.rotate, 180.0),
            ("scale", self.scale, 0.9),
            ("stretch", self.stretch, 0.9),
            ("shear", self.shear, 2.0),
            ("shift", self.shift, 512.0),
            ("elastic.amplitude", self.elastic.amplitude, 512.0),
            ("erase.probability", self.erase.probability, 1.0),
            ("erase.side", self.erase.side, 1.0),
        ];
        for (field, value, most) in fields {
            if !(0.0..=most).contains(&value) {
                mistakes.push(format!("augment.{field}: {value} is not between 0 and {most}"));
            }
        }
        if !(2..=MAX_GRID).contains(&self.elastic.grid) {
            mistakes.push(format!(
                "augment.elastic.grid: {} is not between 2 and {MAX_GRID}",
                self.elastic.grid
            ));
        }
        mistakes
    }

    fn moves(&self) -> bool {
        let Self { rotate, scale, stretch, shear, shift, elastic, erase: _ } = self;
        [rotate, scale, stretch, shear, shift, &elastic.amplitude]
            .iter()
            .any(|amount| **amount > 0.0)
    }
}

/// Images of a batch and what their random numbers depend on.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub images: &'a Split,
    /// Which of them.
    pub positions: &'a [usize],
    pub seed: u64,
    pub epoch: u32,
}

/// Pixels 0 to 255 of the batch, changed: `[image][height][width][channels]`.
pub fn apply(augment: &Augment, batch: Batch<'_>) -> Vec<f32> {
    let (pixels, shape) = (batch.images.pixels(), batch.images.shape());
    let size = shape.len();
    let mut out = vec![0.0; batch.positions.len() * size];
    let mut sampler = Sampler::new(shape, augment.elastic.grid);
    for (&position, out) in batch.positions.iter().zip(out.chunks_exact_mut(size)) {
        let image = &pixels[position * size..(position + 1) * size];
        let mut random =
            Random::new([batch.seed, random::AUGMENT, u64::from(batch.epoch), position as u64]);
        if augment.moves() {
            sampler.field(augment, &mut random);
            sampler.sample(image, out);
        } else {
            for (out, &pixel) in out.iter_mut().zip(image) {
                *out = f32::from(pixel);
            }
        }
        if augment.erase.probability > 0.0 && f64::from(random.unit()) < augment.erase.probability {
            erase(out, shape, augment.erase.side, &mut random);
        }
    }
    out
}

/// Where each pixel of a changed image is taken from, and the taking.
struct Sampler {
    shape: Shape,
    grid: usize,
    /// Displacements at the grid points, x and y.
    points: Vec<[f32; 2]>,
    /// The same interpolated to the height of one row.
    row: Vec<[f32; 2]>,
    /// Grid point left of each column, and how far right of it the column is.
    columns: Vec<(usize, f32)>,
    /// Places that pixels are taken from, x and y, in 1/256 of a pixel and within the image.
    places: Vec<[i32; 2]>,
}

const FRACTION_BITS: i32 = 8;
const ONE: f32 = (1 << FRACTION_BITS) as f32;

impl Sampler {
    fn new(shape: Shape, grid: usize) -> Self {
        Self {
            shape,
            grid,
            points: vec![[0.0; 2]; grid * grid],
            row: vec![[0.0; 2]; grid],
            columns: (0..shape.width).map(|x| on_grid(x, shape.width, grid)).collect(),
            places: vec![[0; 2]; shape.height * shape.width],
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "pixels are computed with as f32")]
    fn field(&mut self, augment: &Augment, random: &mut Random) {
        let Shape { height, width, .. } = self.shape;
        let mut around_zero = |most: f64| random.within(-most as f32, most as f32);
        let (sin, cos) = around_zero(augment.rotate).to_radians().sin_cos();
        let (scale, stretch) = (around_zero(augment.scale), around_zero(augment.stretch));
        // Divided: the field leads back from the changed image to the original.
        let across = 1.0 / ((1.0 + scale) * (1.0 + stretch / 2.0));
        let down = 1.0 / ((1.0 + scale) * (1.0 - stretch / 2.0));
        let shear = around_zero(augment.shear);
        let (left, up) = (around_zero(augment.shift), around_zero(augment.shift));
        for point in &mut self.points {
            let amplitude = augment.elastic.amplitude;
            *point = [around_zero(amplitude) * ONE, around_zero(amplitude) * ONE];
        }
        let (last_x, last_y) = (width as f32 - 1.0, height as f32 - 1.0);
        let (middle_x, middle_y) = (last_x / 2.0, last_y / 2.0);
        let (a, b) = (cos * across * ONE, (shear * cos - sin) * across * ONE);
        let (c, d) = (sin * down * ONE, (shear * sin + cos) * down * ONE);
        let (start_x, start_y) = ((middle_x + left) * ONE, (middle_y + up) * ONE);
        let clamp = |at: f32, last: f32| (at as i32).clamp(0, (last * ONE) as i32);
        for (y, places) in self.places.chunks_exact_mut(width).enumerate() {
            let (above, part) = on_grid(y, height, self.grid);
            let points = self.points[above * self.grid..].iter();
            let below = &self.points[(above + 1) * self.grid..];
            for ((point, top), bottom) in self.row.iter_mut().zip(points).zip(below) {
                *point = between(*top, *bottom, part);
            }
            let dy = y as f32 - middle_y;
            let (row_x, row_y) = (start_x + b * dy, start_y + d * dy);
            for (x, (place, &(before, part))) in places.iter_mut().zip(&self.columns).enumerate() {
                let [elastic_x, elastic_y] = between(self.row[before], self.row[before + 1], part);
                let dx = x as f32 - middle_x;
                *place = [
                    clamp(row_x + a * dx + elastic_x, last_x),
                    clamp(row_y + c * dx + elastic_y, last_y),
                ];
            }
        }
    }

    /// Bilinear, in whole numbers; beyond the border, the border's pixels go on.
    #[expect(clippy::cast_sign_loss, reason = "places are within the image")]
    fn sample(&self, image: &[u8], out: &mut [f32]) {
        let Shape { width, channels, .. } = self.shape;
        let stride = width * channels;
        let last = image.len() - 1;
        for (&[x, y], out) in self.places.iter().zip(out.chunks_exact_mut(channels)) {
            let (part_x, part_y) = (x & 0xff, y & 0xff);
            let left =
                (y >> FRACTION_BITS) as usize * stride + (x >> FRACTION_BITS) as usize * channels;
            for (channel, out) in out.iter_mut().enumerate() {
                // At the last column or row the part is 0, so whatever lies beyond does not count.
                let pixel = |offset: usize| i32::from(image[(left + channel + offset).min(last)]);
                let between =
                    |one: i32, other: i32, part: i32| (one << FRACTION_BITS) + (other - one) * part;
                let above = between(pixel(0), pixel(channels), part_x);
                let below = between(pixel(stride), pixel(stride + channels), part_x);
                let value = (above << FRACTION_BITS) + (below - above) * part_y;
                *out = value as f32 / (ONE * ONE);
            }
        }
    }
}

fn between(one: [f32; 2], other: [f32; 2], part: f32) -> [f32; 2] {
    [one[0] + part * (other[0] - one[0]), one[1] + part * (other[1] - one[1])]
}

/// The grid point at or before position `i` of `side`, and the way to the next one as a share.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are not negative"
)]
fn on_grid(i: usize, side: usize, grid: usize) -> (usize, f32) {
    let at = i as f32 * (grid - 1) as f32 / (side - 1) as f32;
    let before = (at as usize).min(grid - 2);
    (before, at - before as f32)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a side is between 0 and the side"
)]
fn erase(image: &mut [f32], shape: Shape, side: f64, random: &mut Random) {
    let Shape { height, width, channels } = shape;
    let mut place = |whole: usize| {
        let length = (whole as f64 * side * f64::from(random.within(0.3, 1.0))) as usize;
        let start = random.below(whole - length.min(whole - 1));
        start..start + length
    };
    let (rows, columns) = (place(height), place(width));
    for y in rows {
        image[(y * width + columns.start) * channels..(y * width + columns.end) * channels]
            .fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 9, width: 9, channels: 1 };

    /// A bright point in the middle of each of `count` images.
    fn points(count: usize) -> Split {
        let mut pixels = vec![0; count * SHAPE.len()];
        for image in pixels.chunks_exact_mut(SHAPE.len()) {
            image[SHAPE.len() / 2] = 240;
        }
        Split::new(SHAPE, pixels, vec![0; count])
    }

    fn changed(augment: &Augment, images: &Split, positions: &[usize], epoch: u32) -> Vec<f32> {
        apply(augment, Batch { images, positions, seed: 0, epoch })
    }

    /// Everything but erasing, which can take all there is to see.
    fn all_moves() -> Augment {
        Augment {
            rotate: 20.0,
            scale: 0.2,
            stretch: 0.1,
            shear: 0.2,
            shift: 2.0,
            elastic: Elastic { amplitude: 1.0, grid: 4 },
            erase: Erase::default(),
        }
    }

    #[test]
    fn no_augmentation_gives_the_very_pixels() {
        let images = points(2);
        let expected: Vec<f32> = images.pixels().iter().copied().map(f32::from).collect();
        assert_eq!(changed(&Augment::default(), &images, &[0, 1], 0), expected);
        // Through the sampler too: a rotation too small to see.
        let still = Augment { rotate: 1e-9, ..Augment::default() };
        for (sampled, expected) in changed(&still, &images, &[0, 1], 0).iter().zip(&expected) {
            assert!((sampled - expected).abs() < 1e-2, "{sampled} {expected}");
        }
    }

    #[test]
    fn an_image_changes_by_seed_epoch_and_position_and_not_by_its_batch() {
        let images = points(8);
        let alone = changed(&all_moves(), &images, &[5], 3);
        let among = changed(&all_moves(), &images, &[1, 5, 2], 3);
        assert_eq!(alone, among[SHAPE.len()..2 * SHAPE.len()]);
        assert_ne!(alone, among[..SHAPE.len()], "another position");
        assert_ne!(alone, changed(&all_moves(), &images, &[5], 4), "another epoch");
    }

    #[test]
    fn amounts_are_symmetric_around_no_change() {
        let count = 2000;
        let images = points(count);
        let positions: Vec<usize> = (0..count).collect();
        let (mut ink, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
        for image in changed(&all_moves(), &images, &positions, 0).chunks_exact(SHAPE.len()) {
            for (i, value) in image.iter().enumerate() {
                ink += value;
                x_sum += value * (i % 9) as f32;
                y_sum += value * (i / 9) as f32;
            }
        }
        let (x, y, mean_ink) = (x_sum / ink, y_sum / ink, ink / count as f32);
        assert!((x - 4.0).abs() < 0.1 && (y - 4.0).abs() < 0.1, "the centre went to {x}, {y}");
        assert!((200.0..280.0).contains(&mean_ink), "{mean_ink} of 240 is left");
    }

    #[test]
    fn erasing_blackens_a_rectangle_of_at_most_the_given_side() {
        let white = Split::new(SHAPE, vec![255; 100 * SHAPE.len()], vec![0; 100]);
        let erase = Erase { probability: 0.5, side: 0.5 };
        let augment = Augment { erase, ..Augment::default() };
        let positions: Vec<usize> = (0..100).collect();
        let pixels = changed(&augment, &white, &positions, 0);
        let erased: Vec<usize> = pixels
            .chunks_exact(SHAPE.len())
            .map(|image| image.iter().filter(|value| **value == 0.0).count())
            .collect();
        let touched = erased.iter().filter(|count| **count > 0).count();
        assert!((30..=70).contains(&touched), "{touched} of 100");
        assert!(erased.iter().all(|&count| count <= 16), "{erased:?}");
    }
}
