//! [`PictureFit::CentredInk`](contract::task::PictureFit::CentredInk): bright strokes on black, in the
//! place where the training pictures have them.
//!
//! As LeCun, Cortes and Burges made theirs: the strokes' bounding box scaled into 5/7 of the side with
//! its aspect kept, then moved until the centre of mass is the centre of the picture.

use contract::image::Shape;
use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};

use super::blank;
use crate::problem::Refusal;

/// Strokes must stand out from the ground by this much of 255; paper grain and JPEG noise do not.
const CONTRAST: u8 = 32;

/// Share of the full range above which a pixel belongs to the strokes' bounding box.
const INKED: u8 = 64;

pub(super) fn centre(picture: &GrayImage, shape: Shape) -> Result<Vec<u8>, Refusal> {
    let ground = border_median(picture);
    let is_dark = ground < 128;
    if is_dark && is_of(picture, shape) {
        let peak = picture.pixels().map(|pixel| pixel.0[0]).max().unwrap_or(0);
        if peak.saturating_sub(ground) < CONTRAST {
            return Err(blank());
        }
        return Ok(picture.as_raw().clone());
    }
    let strokes = strokes(picture, ground, is_dark).ok_or_else(blank)?;
    let boxed = bounding_box(&strokes).ok_or_else(blank)?;
    let (x, y, width, height) = boxed;
    let cut = imageops::crop_imm(&strokes, x, y, width, height).to_image();
    let (width, height) = scaled(width, height, shape);
    let mut small = imageops::resize(&cut, width, height, FilterType::Triangle);
    stretch(&mut small, 0);
    Ok(placed(&small, shape))
}

fn is_of(picture: &GrayImage, shape: Shape) -> bool {
    (picture.width() as usize, picture.height() as usize) == (shape.width, shape.height)
}

/// The grey level of the ground: strokes rarely cover half of a picture's edge.
fn border_median(picture: &GrayImage) -> u8 {
    let (width, height) = picture.dimensions();
    let mut counts = [0u32; 256];
    let mut count = |x, y| counts[usize::from(picture.get_pixel(x, y).0[0])] += 1;
    for x in 0..width {
        count(x, 0);
        count(x, height - 1);
    }
    for y in 0..height {
        count(0, y);
        count(width - 1, y);
    }
    let half = counts.iter().sum::<u32>() / 2;
    let mut below = 0;
    for (level, count) in (0..=u8::MAX).zip(counts) {
        below += count;
        if below > half {
            return level;
        }
    }
    u8::MAX
}

/// Bright on black over the full range; nothing where nothing stands out.
fn strokes(picture: &GrayImage, ground: u8, is_dark: bool) -> Option<GrayImage> {
    let mut strokes = picture.clone();
    let ground = if is_dark {
        ground
    } else {
        imageops::invert(&mut strokes);
        255 - ground
    };
    let peak = strokes.pixels().map(|pixel| pixel.0[0]).max()?;
    if peak.saturating_sub(ground) < CONTRAST {
        return None;
    }
    stretch(&mut strokes, ground);
    Some(strokes)
}

/// Maps `ground` and below to 0 and the brightest pixel to 255.
fn stretch(picture: &mut GrayImage, ground: u8) {
    let peak = picture.pixels().map(|pixel| pixel.0[0]).max().unwrap_or(0);
    let range = u32::from(peak.saturating_sub(ground)).max(1);
    for pixel in picture.pixels_mut() {
        let above = u32::from(pixel.0[0].saturating_sub(ground));
        pixel.0[0] = u8::try_from((above * 255 + range / 2) / range).unwrap_or(u8::MAX);
    }
}

fn bounding_box(strokes: &GrayImage) -> Option<(u32, u32, u32, u32)> {
    let inked = strokes.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > INKED);
    let (mut left, mut top, mut right, mut bottom) = (u32::MAX, u32::MAX, 0, 0);
    for (x, y, _) in inked {
        (left, right) = (left.min(x), right.max(x));
        (top, bottom) = (top.min(y), bottom.max(y));
    }
    (left <= right).then(|| (left, top, right - left + 1, bottom - top + 1))
}

/// The largest size of this aspect within 5/7 of the shape.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive share of a side of at most 512 pixels"
)]
fn scaled(width: u32, height: u32, shape: Shape) -> (u32, u32) {
    let (width, height) = (f64::from(width), f64::from(height));
    let room = |side: usize| side as f64 * 5.0 / 7.0;
    let scale = (room(shape.width) / width).min(room(shape.height) / height);
    let side = |length: f64| ((length * scale).round() as u32).max(1);
    (side(width), side(height))
}

/// On a black picture of the shape, centre of mass on its centre, nothing cut off.
fn placed(small: &GrayImage, shape: Shape) -> Vec<u8> {
    let (mut mass, mut moment_x, mut moment_y) = (0u64, 0u64, 0u64);
    for (x, y, &Luma([value])) in small.enumerate_pixels() {
        let value = u64::from(value);
        mass += value;
        moment_x += value * u64::from(x);
        moment_y += value * u64::from(y);
    }
    let offset = |side: usize, length: u32, moment: u64| {
        let length = length as usize;
        let centre = moment as f64 / mass.max(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and the result is clamped to the picture"
        )]
        let start = (side as f64 / 2.0 - 0.5 - centre).round().max(0.0) as usize;
        start.min(side.saturating_sub(length))
    };
    let left = offset(shape.width, small.width(), moment_x);
    let top = offset(shape.height, small.height(), moment_y);
    let mut pixels = vec![0; shape.len()];
    for (x, y, &Luma([value])) in small.enumerate_pixels() {
        pixels[(top + y as usize) * shape.width + left + x as usize] = value;
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 28, width: 28, channels: 1 };

    /// A bar with a foot: the mass is not in the middle of the box.
    fn drawing(side: u32, paper: u8, ink: u8) -> GrayImage {
        let unit = side / 20;
        GrayImage::from_fn(side, side, |x, y| {
            let (x, y) = (x / unit, y / unit);
            let inked = (x == 3 && (2..12).contains(&y)) || (y == 11 && (3..8).contains(&x));
            Luma([if inked { ink } else { paper }])
        })
    }

    fn bounds(pixels: &[u8]) -> (usize, usize, usize, usize) {
        let rows: Vec<_> = (0..28).filter(|y| (0..28).any(|x| pixels[y * 28 + x] > 64)).collect();
        let columns: Vec<_> =
            (0..28).filter(|x| (0..28).any(|y| pixels[y * 28 + x] > 64)).collect();
        (columns[0], rows[0], columns.len(), rows.len())
    }

    fn mass(pixels: &[u8]) -> (f64, f64) {
        let total: f64 = pixels.iter().map(|v| f64::from(*v)).sum();
        let sum = |at: fn(usize) -> usize| {
            pixels.iter().enumerate().map(|(i, v)| at(i) as f64 * f64::from(*v)).sum::<f64>()
        };
        (sum(|i| i % 28) / total, sum(|i| i / 28) / total)
    }

    #[test]
    fn strokes_of_any_size_and_shade_land_in_the_same_place() {
        let reference = centre(&drawing(200, 0, 255), SHAPE).unwrap();
        assert_eq!(bounds(&reference).3, 20);
        let check = |picture: GrayImage| {
            let pixels = centre(&picture, SHAPE).unwrap();
            let far = pixels.iter().zip(&reference).filter(|(a, b)| a.abs_diff(**b) > 40).count();
            assert!(far <= 4, "{far} pixels differ");
        };
        check(drawing(400, 255, 0));
        check(drawing(1000, 230, 60));
        check(drawing(100, 20, 200));
    }

    #[test]
    fn the_centre_of_mass_is_the_centre_of_the_picture() {
        let (x, y) = mass(&centre(&drawing(200, 255, 0), SHAPE).unwrap());
        assert!((x - 13.5).abs() <= 0.75 && (y - 13.5).abs() <= 0.75, "({x}, {y})");
    }

    #[test]
    fn a_wide_stroke_keeps_its_aspect() {
        let picture = GrayImage::from_fn(300, 300, |x, y| {
            Luma([if (50..250).contains(&x) && (100..120).contains(&y) { 0 } else { 255 }])
        });
        let (_, _, width, height) = bounds(&centre(&picture, SHAPE).unwrap());
        assert_eq!((width, height), (20, 2));
    }

    #[test]
    fn a_light_picture_of_the_right_size_is_only_inverted_and_centred() {
        let dark = GrayImage::from_fn(28, 28, |x, y| {
            Luma([if (12..16).contains(&x) && (4..24).contains(&y) { 255 } else { 0 }])
        });
        let mut light = dark.clone();
        imageops::invert(&mut light);
        assert_eq!(centre(&light, SHAPE).unwrap(), *dark.as_raw());
    }

    #[test]
    fn a_single_dot_and_a_picture_of_one_pixel_do_not_break_anything() {
        let mut dot = GrayImage::from_pixel(50, 50, Luma([255]));
        dot.put_pixel(7, 9, Luma([0]));
        assert_eq!(bounds(&centre(&dot, SHAPE).unwrap()).2, 20);
        assert!(centre(&GrayImage::from_pixel(1, 1, Luma([255])), SHAPE).is_err());
    }
}
