//! Bodies of `/v1`: JSON, pictures, forms.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::image::Shape;
use contract::task::PictureFit;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use protocol::content::{Content, MediaType};
use protocol::problem::Code;
use protocol::v2::metadata::Listing;
use protocol::{json, multipart, picture};
use serde_json::Value;

use crate::{TEXT, Target, well_refused};

pub const JSON: Target = Target { name: "json", seeds: json_seeds, run: read_json, memory: TEXT };

/// Decoded, a picture takes up to 64 MiB, and again as much in each form that it passes through.
pub const PICTURE: Target =
    Target { name: "picture", seeds: picture_seeds, run: read_picture, memory: 256 };

pub const MULTIPART: Target =
    Target { name: "multipart", seeds: form_seeds, run: read_form, memory: TEXT };

pub(crate) const GREY: Shape = Shape { height: 2, width: 3, channels: 1 };
pub(crate) const RGB: Shape = Shape { height: 1, width: 2, channels: 3 };
pub(crate) const LIMIT: usize = 3;

/// The first byte chooses what is asked for.
fn read_json(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let shape = if choice & 1 == 0 { GREY } else { RGB };
    let document: Option<Value> = serde_json::from_slice(body).ok();
    let (field, read) = match choice & 6 {
        0 | 2 => ("image", json::image(body, shape).map(|image| vec![image])),
        4 => ("images", json::images(body, shape, LIMIT)),
        _ => return read_listing(body, document.is_some()),
    };
    let contents = match read {
        Ok(contents) => contents,
        Err(refusal) => {
            let is_malformed = refusal.code == Code::MalformedJson;
            assert!(!is_malformed || document.is_none(), "JSON all the same: {refusal:?}");
            return well_refused(&refusal);
        }
    };
    assert!((1..=LIMIT).contains(&contents.len()), "{} images", contents.len());
    let document = document.expect("what is not JSON is refused");
    let told = match &document[field] {
        Value::Array(images) if field == "images" => images.iter().collect(),
        image => vec![image],
    };
    assert_eq!(told.len(), contents.len());
    for (content, told) in contents.iter().zip(told) {
        match content {
            Content::Image(image) => {
                let mut pixels = Vec::new();
                numbers(told, &mut pixels);
                assert!(image.pixels().iter().map(|pixel| u64::from(*pixel)).eq(pixels), "{told}");
            }
            Content::Picture(_) => assert!(told.is_string(), "{told}"),
        }
    }
}

fn read_listing(body: &[u8], is_json: bool) {
    match Listing::read(body) {
        Ok(_) => assert!(is_json || body.trim_ascii().is_empty()),
        Err(refusal) => well_refused(&refusal),
    }
}

/// All numbers below, in their order. What is none counts as one that no pixel is.
fn numbers(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| numbers(value, found)),
        value => found.push(value.as_u64().unwrap_or(u64::MAX)),
    }
}

/// The first byte chooses the shape and how pictures are fitted into it.
fn read_picture(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let side = 8 + usize::from(choice & 4) * 4;
    let channels = if choice & 1 == 0 { 1 } else { 3 };
    let shape = Shape { height: side, width: side, channels };
    // Ink is grey.
    let by_ink = channels == 1 && choice & 2 == 0;
    let fit = if by_ink { PictureFit::CentredInk } else { PictureFit::Cover };
    match picture::decode(bytes, shape, fit) {
        Ok(image) => assert_eq!(image.shape(), shape),
        Err(refusal) => well_refused(&refusal),
    }
}

/// A `Content-Type`, a line feed, the body.
fn read_form(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(content_type) = str::from_utf8(&input[..end]) else { return };
    let body = input.get(end + 1..).unwrap_or_default();
    let whole = |kind| multipart::picture(content_type, body.to_vec()).map(|read| (kind, read));
    match MediaType::parse(Some(content_type)).and_then(whole) {
        Ok((_, Content::Picture(bytes))) => assert!(contains(body, &bytes), "{bytes:?}"),
        Ok((_, Content::Image(image))) => panic!("{image:?} of a form"),
        Err(refusal) => well_refused(&refusal),
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

fn json_seeds() -> Vec<Vec<u8>> {
    let files = pictures();
    let png = STANDARD.encode(&files[0]);
    let texts = [
        (0, r#"{"image":[0,1,2,30,44,255]}"#.to_owned()),
        (0, "\n{ \"image\" :\t[ [0 , 1,2],\r[ 100,25,5 ] ] }\n".to_owned()),
        (0, r#"{"image":[[[0],[1],[2]],[[3],[4],[255]]]}"#.to_owned()),
        (0, r#"{"image":[1.0,-1,1e3,"x",null,true]}"#.to_owned()),
        (1, r#"{"image":[[[0,1,2],[30,44,255]]]}"#.to_owned()),
        (2, format!(r#"{{"image":"{png}"}}"#)),
        (2, format!(r#"{{"image":"data:image/png;base64,{png}"}}"#)),
        (4, format!(r#"{{"images":[[0,1,2,3,4,5],[[0,1,2],[3,4,5]],"{png}"]}}"#)),
        (5, r#"{"images":[[0,1,2,3,4,5]]}"#.to_owned()),
        (6, r#"{"ready":true,"more":[{}]}"#.to_owned()),
        (0, format!(r#"{{"{}":0}}"#, "long".repeat(4000))),
    ];
    texts.map(|(choice, text)| [&[choice], text.as_bytes()].concat()).into()
}

fn picture_seeds() -> Vec<Vec<u8>> {
    let choices = (0..8u8).cycle();
    choices.zip(pictures()).map(|(choice, file)| [&[choice][..], &file].concat()).collect()
}

fn form_seeds() -> Vec<Vec<u8>> {
    let forms = [
        "multipart/form-data; boundary=x\n--x\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"7.png\"\r\nContent-Type: image/png\r\n\r\nbytes\r\n--x--\r\n",
        "multipart/form-data; boundary=\"a b\"\n--a b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n\
         text\r\n--a b\r\nContent-Type: image/jpeg\r\n\r\n\x00\x01\r\n--a b--",
        "multipart/form-data; charset=utf-8; boundary=--\n----\r\n\r\n\r\n------\r\n",
        "image/png\nbytes",
    ];
    forms.map(|form| form.as_bytes().to_vec()).into()
}

/// One of each kind that the decoders tell apart.
pub(crate) fn pictures() -> Vec<Vec<u8>> {
    let bright = |x, y| Luma([if x / 5 == 1 && y > 1 { 200u8 } else { 3 }]);
    let grey = DynamicImage::from(GrayImage::from_fn(19, 23, bright));
    let kinds = [
        (ImageFormat::Png, grey.clone()),
        (ImageFormat::Png, grey.to_rgb8().into()),
        (ImageFormat::Png, grey.to_rgba8().into()),
        (ImageFormat::Png, grey.to_luma_alpha16().into()),
        (ImageFormat::Png, grey.to_rgb16().into()),
        (ImageFormat::Jpeg, grey.clone()),
        (ImageFormat::Jpeg, grey.to_rgb8().into()),
    ];
    let encode = |(format, picture): (ImageFormat, DynamicImage)| {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).expect("memory takes any picture");
        file.into_inner()
    };
    kinds.map(encode).into()
}
