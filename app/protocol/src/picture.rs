//! PNG and JPEG bytes to an [`Image`] of the task's shape.
//!
//! Sizes are checked against the header before pixels are decoded, so a small file cannot ask for a
//! large allocation. A picture that already is what the model was trained on passes through unchanged.

mod cover;
mod ink;

use std::io::Cursor;

use contract::image::{Image, Shape};
use contract::task::PictureFit;
use image::error::{ImageError, LimitErrorKind};
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::problem::{Code, Refusal};

const MAX_SIDE: u32 = 4096;
const MAX_ALLOCATION: u64 = 64 << 20;

pub fn decode(bytes: &[u8], shape: Shape, fit: PictureFit) -> Result<Image, Refusal> {
    let picture = on_ground(open(bytes)?);
    let pixels = match fit {
        PictureFit::CentredInk => ink::centre(&picture.into_luma8(), shape)?,
        PictureFit::Cover => cover::crop(&picture, shape)?,
    };
    Ok(Image::new(shape, pixels).expect("every fit returns as many pixels as the shape asks for"))
}

fn open(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    let format = image::guess_format(bytes).ok();
    let Some(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = format else {
        return Err(Refusal::new(
            Code::UnreadablePicture,
            "the picture is neither a PNG nor a JPEG",
        ));
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    limits.reserve(decoder.total_bytes()).map_err(refusal)?;
    let orientation = decoder.orientation().map_err(refusal)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn refusal(error: ImageError) -> Refusal {
    match error {
        ImageError::Limits(error) => {
            let detail = match error.kind() {
                LimitErrorKind::DimensionError => {
                    format!("the picture is larger than {MAX_SIDE}×{MAX_SIDE} pixels")
                }
                _ => format!("the picture takes more than {} MiB to decode", MAX_ALLOCATION >> 20),
            };
            Refusal::new(Code::PictureTooLarge, detail)
        }
        // The decoder's own words are for us: they name crates and offsets.
        _ => Refusal::new(Code::UnreadablePicture, "the picture is damaged or cut short"),
    }
}

/// Without transparency: a bright drawing is laid on black, anything else on white paper.
fn on_ground(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let mut rgba = picture.into_rgba8();
    let (mut light, mut cover) = (0u64, 0u64);
    for pixel in rgba.pixels() {
        let [r, g, b, a] = pixel.0.map(u64::from);
        light += (r + g + b) * a;
        cover += 3 * a;
    }
    let opaque = cover == 3 * 255 * u64::from(rgba.width()) * u64::from(rgba.height());
    let ground = if light > cover * 127 { 0u32 } else { 255 };
    if !opaque {
        for pixel in rgba.pixels_mut() {
            let a = u32::from(pixel.0[3]);
            for value in &mut pixel.0[..3] {
                let mixed = (u32::from(*value) * a + ground * (255 - a) + 127) / 255;
                *value = u8::try_from(mixed).expect("a mean of two bytes is a byte");
            }
            pixel.0[3] = 255;
        }
    }
    DynamicImage::ImageRgba8(rgba)
}

fn blank() -> Refusal {
    Refusal::new(Code::BlankPicture, "the picture is blank: nothing stands out from its background")
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgba, RgbaImage};

    use super::*;

    const SHAPE: Shape = Shape { height: 28, width: 28, channels: 1 };

    fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn code(bytes: &[u8]) -> Code {
        decode(bytes, SHAPE, PictureFit::CentredInk).unwrap_err().code
    }

    fn stroke() -> GrayImage {
        GrayImage::from_fn(28, 28, |x, y| {
            Luma([if x == 14 && (4..24).contains(&y) { 200 } else { 0 }])
        })
    }

    #[test]
    fn a_picture_of_the_models_own_kind_passes_unchanged() {
        let check = |picture: DynamicImage| {
            let image = decode(&encode(picture, ImageFormat::Png), SHAPE, PictureFit::CentredInk);
            assert_eq!(image.unwrap().pixels(), stroke().as_raw());
        };
        check(stroke().into());
        check(DynamicImage::from(stroke()).into_rgb8().into());
        check(DynamicImage::from(stroke()).into_luma_alpha8().into());
        check(DynamicImage::from(stroke()).into_luma16().into());
    }

    #[test]
    fn what_is_not_a_picture_is_unreadable() {
        let png = encode(stroke(), ImageFormat::Png);
        for bytes in
            [&b""[..], b"GIF89a", b"hello", &png[..40], &png[..png.len() / 2], b"\xff\xd8\xff\xe0"]
        {
            assert_eq!(code(bytes), Code::UnreadablePicture, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_small_file_of_a_huge_picture_is_refused_before_decoding() {
        let check = |width, height, expected| {
            let mut png = encode(DynamicImage::new_rgba16(1, 1), ImageFormat::Png);
            png[16..20].copy_from_slice(&u32::to_be_bytes(width));
            png[20..24].copy_from_slice(&u32::to_be_bytes(height));
            let checksum = crc32(&png[12..29]);
            png[29..33].copy_from_slice(&checksum.to_be_bytes());
            assert_eq!(code(&png), expected, "{width}×{height}");
        };
        check(4097, 1, Code::PictureTooLarge);
        check(1, u32::MAX >> 1, Code::PictureTooLarge);
        check(4096, 4096, Code::PictureTooLarge);
        check(2, 2, Code::UnreadablePicture);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            })
        })
    }

    #[test]
    fn a_blank_picture_is_refused_whatever_its_shade() {
        for shade in [0, 100, 255] {
            let picture = GrayImage::from_pixel(40, 30, Luma([shade]));
            assert_eq!(code(&encode(picture.clone(), ImageFormat::Png)), Code::BlankPicture);
            assert_eq!(code(&encode(picture, ImageFormat::Jpeg)), Code::BlankPicture);
        }
        assert_eq!(code(&encode(GrayImage::new(28, 28), ImageFormat::Png)), Code::BlankPicture);
        assert_eq!(code(&encode(RgbaImage::new(28, 28), ImageFormat::Png)), Code::BlankPicture);
    }

    #[test]
    fn ink_of_any_shade_shows_on_a_transparent_ground() {
        for ink in [0, 255] {
            let picture = RgbaImage::from_fn(60, 60, |x, y| {
                let inked = (25..35).contains(&x) && (10..50).contains(&y);
                Rgba([ink, ink, ink, if inked { 255 } else { 0 }])
            });
            let bytes = encode(picture, ImageFormat::Png);
            let image = decode(&bytes, SHAPE, PictureFit::CentredInk).unwrap();
            assert_eq!(image.pixels()[14 * 28 + 14], 255);
            assert_eq!(image.pixels()[14 * 28 + 2], 0);
        }
    }

    #[test]
    fn a_photograph_is_turned_upright() {
        let upright = GrayImage::from_fn(40, 20, |x, _| Luma([if x < 20 { 0 } else { 255 }]));
        let mut jpeg = encode(upright, ImageFormat::Jpeg);
        // APP1 with one EXIF entry: orientation 6, turn by 90 degrees clockwise.
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut segment = vec![0xff, 0xe1, 0, u8::try_from(exif.len() + 2).unwrap()];
        segment.extend_from_slice(exif);
        jpeg.splice(2..2, segment);
        let shape = Shape { height: 8, width: 8, channels: 1 };
        let image = decode(&jpeg, shape, PictureFit::Cover).unwrap();
        assert!(image.pixels()[0] < 10 && image.pixels()[63] > 245, "{:?}", image.pixels());
        assert!(image.pixels()[7] < 10, "dark above, not at the left");
    }
}
