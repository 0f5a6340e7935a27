//! [`Features`]: what drift is measured on. One definition for the training baseline, the service's
//! gauges and the records, so that two numbers of the same name can be compared.

use crate::image::Image;

/// Pixels at or below this value count as background: JPEG noise and soft pen edges stay below it.
const BACKGROUND: u8 = 31;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// Mean pixel value, 0 (black) to 1 (white).
    pub ink: f32,
    /// Area of the smallest box around all foreground pixels, as a share of the picture, 0 to 1.
    pub bbox: f32,
    /// Shannon entropy of the grey levels in 16 bins, in bits, 0 to 4.
    pub entropy: f32,
}

impl Features {
    pub fn of(image: &Image) -> Self {
        let shape = image.shape();
        let pixels = image.pixels();
        let mut sum = 0u64;
        let mut levels = [0u32; 16];
        let (mut top, mut bottom, mut left, mut right) = (usize::MAX, 0, usize::MAX, 0);
        for (row, line) in pixels.chunks_exact(shape.width * shape.channels).enumerate() {
            for (i, &value) in line.iter().enumerate() {
                sum += u64::from(value);
                levels[usize::from(value >> 4)] += 1;
                if value > BACKGROUND {
                    let column = i / shape.channels;
                    (top, bottom) = (top.min(row), bottom.max(row));
                    (left, right) = (left.min(column), right.max(column));
                }
            }
        }
        let count = pixels.len() as f32;
        let area = if top == usize::MAX { 0 } else { (bottom - top + 1) * (right - left + 1) };
        Self {
            ink: sum as f32 / (255.0 * count),
            bbox: area as f32 / (shape.height * shape.width) as f32,
            entropy: levels
                .iter()
                .filter(|n| **n > 0)
                .map(|n| *n as f32 / count)
                .map(|p| -p * p.log2())
                .sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Shape;

    fn features(pixels: [u8; 16]) -> Features {
        Features::of(&Image::new(Shape { height: 4, width: 4, channels: 1 }, pixels).unwrap())
    }

    #[test]
    fn a_blank_picture_has_no_ink_no_box_and_no_entropy() {
        assert_eq!(features([0; 16]), Features { ink: 0.0, bbox: 0.0, entropy: 0.0 });
    }

    #[test]
    fn the_box_holds_the_foreground_only() {
        let mut pixels = [31; 16];
        pixels[5] = 255; // row 1, column 1
        pixels[10] = 255; // row 2, column 2
        let features = features(pixels);
        assert!((features.bbox - 4.0 / 16.0).abs() < 1e-6);
        assert!((features.ink - (14.0 * 31.0 + 2.0 * 255.0) / (16.0 * 255.0)).abs() < 1e-6);
        let (p, q) = (14.0f32 / 16.0, 2.0f32 / 16.0);
        assert!((features.entropy + p * p.log2() + q * q.log2()).abs() < 1e-6);
    }
}
