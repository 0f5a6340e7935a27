//! PNG and JPEG bytes to an [`Image`] of the task's shape.
//!
//! Sizes and scans are checked before pixels are decoded, and what is no part of the pixels is left out, so a small
//! file cannot ask for a large allocation or for minutes. A picture that already is what the model was trained on
//! passes through unchanged.

mod cover;
mod ink;
mod jpeg;
mod png;

use std::borrow::Cow;
use std::io::Cursor;

use contract::image::{Image, Shape};
use contract::task::PictureFit;
use image::error::{ImageError, LimitErrorKind};
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::problem::{Code, Refusal};

const MAX_SIDE: u32 = 4096;
/// Pixels.
const MOST: u64 = (MAX_SIDE as u64).pow(2);
const MAX_ALLOCATION: u64 = 64 << 20;

/// About what decoding takes, in pixels that are gone over. Next to nothing is read of the bytes for it.
pub fn work(bytes: &[u8]) -> u64 {
    match image::guess_format(bytes) {
        // What was not understood is taken for the worst; more than that is refused.
        Ok(ImageFormat::Png) => png::pixels(bytes).map_or(MOST, |pixels| pixels.min(MOST)),
        Ok(ImageFormat::Jpeg) => jpeg::work(bytes),
        _ => 0,
    }
}

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
    let bytes = match format {
        ImageFormat::Png => Cow::Owned(png::essential(bytes)),
        _ => Cow::Borrowed(bytes),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    let mut reader = ImageReader::with_format(Cursor::new(&*bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    limits.reserve(decoder.total_bytes()).map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if format == ImageFormat::Jpeg && jpeg::has_too_many_scans(&bytes, pixels) {
        let detail = "the picture is progressive and has more scans than its size allows";
        return Err(Refusal::new(Code::PictureTooLarge, detail));
    }
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
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
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

    /// With a chunk before the pixels.
    fn with_chunk(png: &[u8], kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let checked = [&kind[..], content].concat();
        let length = u32::try_from(content.len()).unwrap();
        let chunk = [&length.to_be_bytes()[..], &checked, &crc32(&checked).to_be_bytes()].concat();
        [&png[..33], &chunk, &png[33..]].concat()
    }

    #[test]
    fn what_is_no_part_of_the_pixels_is_not_unpacked() {
        let mut bomb = ZlibEncoder::new(b"name\0\0".to_vec(), Compression::fast());
        bomb.write_all(&vec![0; 65 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        let picture = encode(stroke(), ImageFormat::Png);
        for kind in [b"iCCP", b"zTXt", b"iTXt", b"acTL", b"abCD"] {
            let image = decode(&with_chunk(&picture, *kind, &bomb), SHAPE, PictureFit::CentredInk);
            assert_eq!(image.unwrap().pixels(), stroke().as_raw(), "{kind:?}");
        }
    }

    #[test]
    fn colours_that_a_palette_makes_transparent_are() {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut chunk = |kind: &[u8], content: &[u8]| {
            let checked = [kind, content].concat();
            png.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            png.extend(&checked);
            png.extend(crc32(&checked).to_be_bytes());
        };
        chunk(b"IHDR", &[0, 0, 0, 8, 0, 0, 0, 8, 1, 3, 0, 0, 0]);
        // Black on black, but for what shows.
        chunk(b"PLTE", &[0; 6]);
        chunk(b"tRNS", &[0, 255]);
        let mut rows = ZlibEncoder::new(Vec::new(), Compression::fast());
        rows.write_all(&[0, 0b0011_0000].repeat(8)).unwrap();
        chunk(b"IDAT", &rows.finish().unwrap());
        chunk(b"IEND", &[]);
        let shape = Shape { height: 8, width: 8, channels: 1 };
        let image = decode(&png, shape, PictureFit::Cover).unwrap();
        assert_eq!(image.pixels()[..8], [255, 255, 0, 0, 255, 255, 255, 255]);
    }

    /// Progressive, grey and empty, so that a scan takes a bit for a block.
    fn progressive(side: u16, scans: usize) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8];
        let mut segment = |marker, content: &[u8], data: &[u8]| {
            jpeg.extend([0xff, marker]);
            jpeg.extend(u16::try_from(content.len() + 2).unwrap().to_be_bytes());
            jpeg.extend(content.iter().chain(data));
        };
        let [high, low] = side.to_be_bytes();
        segment(0xdb, &[&[0][..], &[1; 64]].concat(), &[]);
        segment(0xc2, &[8, high, low, high, low, 1, 1, 0x11, 0], &[]);
        let one_code: [u8; 16] = std::array::from_fn(|length| u8::from(length == 0));
        segment(0xc4, &[&[0][..], &one_code, &[0]].concat(), &[]);
        let blocks = usize::from(side.div_ceil(8)).pow(2);
        for scan in 0..scans {
            let precision = if scan == 0 { 1 } else { 0x10 };
            segment(0xda, &[1, 1, 0, 0, 0, precision], &vec![0; blocks.div_ceil(8)]);
        }
        jpeg.extend([0xff, 0xd9]);
        jpeg
    }

    #[test]
    fn a_picture_of_more_scans_than_its_size_allows_is_refused_before_decoding() {
        let check = |side, scans, expected| {
            assert_eq!(code(&progressive(side, scans)), expected, "{side}, {scans} scans");
        };
        check(64, 20, Code::BlankPicture);
        check(64, 21, Code::PictureTooLarge);
        check(4096, 10, Code::PictureTooLarge);
        let photo = progressive(3488, 12);
        assert!(!jpeg::has_too_many_scans(&photo, 3488 * 3488));
        // Where the frame is not understood, too.
        let mut odd = progressive(64, 21);
        odd.splice(2..2, *b"\0\0");
        assert!(jpeg::has_too_many_scans(&odd, 64 * 64));
    }

    #[test]
    fn what_decoding_takes_is_known_before() {
        let grey = |format| encode(GrayImage::new(100, 20), format);
        assert_eq!(work(&grey(ImageFormat::Png)), 2000);
        assert_eq!(work(&grey(ImageFormat::Jpeg)), 2000);
        assert_eq!(work(&progressive(40, 1)), 16_000);
        assert_eq!(work(b"GIF89a"), 0);
        assert_eq!(work(b"\x89PNG\r\n\x1a\n"), MOST);
        let hidden =
            [b"\x89PNG\r\n\x1a\n\0\0\0\0abCD\0\0\0\0", &grey(ImageFormat::Png)[8..]].concat();
        assert_eq!(work(&hidden), MOST, "a chunk before the header");
        let fill = [b"\xff\xd8\xff\x00", &progressive(40, 1)[2..]].concat();
        assert!(work(&fill) > MOST, "what decoders take for fill is not taken for a segment");
        assert!(work(b"\xff\xd8\xff\xe0") > 1 << 24);
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
