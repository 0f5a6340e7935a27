//! [`PictureFit::Cover`](contract::task::PictureFit::Cover): the whole picture, scaled to cover the
//! input and cropped around its middle.

use contract::image::Shape;
use image::DynamicImage;
use image::imageops::FilterType;

use super::blank;
use crate::problem::Refusal;

pub(super) fn crop(picture: &DynamicImage, shape: Shape) -> Result<Vec<u8>, Refusal> {
    let side = |pixels| u32::try_from(pixels).expect("a task's sides are checked to be small");
    let (width, height) = (side(shape.width), side(shape.height));
    let fitted = if (picture.width(), picture.height()) == (width, height) {
        picture.clone()
    } else {
        picture.resize_to_fill(width, height, FilterType::Triangle)
    };
    let pixels = match shape.channels {
        1 => fitted.into_luma8().into_raw(),
        _ => fitted.into_rgb8().into_raw(),
    };
    let uniform =
        pixels.chunks_exact(shape.channels).all(|pixel| pixel == &pixels[..shape.channels]);
    if uniform { Err(blank()) } else { Ok(pixels) }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::problem::Code;

    const SHAPE: Shape = Shape { height: 8, width: 8, channels: 3 };

    #[test]
    fn a_picture_of_the_right_size_passes_unchanged() {
        let picture = RgbImage::from_fn(8, 8, |x, y| Rgb([7, u8::from(x < y), 77]));
        assert_eq!(crop(&picture.clone().into(), SHAPE).unwrap(), picture.into_raw());
    }

    #[test]
    fn the_middle_of_a_wide_picture_is_kept() {
        let picture = RgbImage::from_fn(48, 16, |x, _| match x {
            0..16 => Rgb([255, 0, 0]),
            16..32 => Rgb([0, 255, if x < 24 { 0 } else { 200 }]),
            _ => Rgb([0, 0, 255]),
        });
        let pixels = crop(&picture.into(), SHAPE).unwrap();
        assert!(pixels.chunks_exact(3).all(|pixel| pixel[1] > 200), "{pixels:?}");
    }

    #[test]
    fn one_colour_all_over_is_blank() {
        let picture = RgbImage::from_pixel(30, 20, Rgb([9, 200, 30]));
        assert_eq!(crop(&picture.into(), SHAPE).unwrap_err().code, Code::BlankPicture);
    }
}
