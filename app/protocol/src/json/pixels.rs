//! One image within a JSON body. The first number shows the layout, and every other must agree with it.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use contract::image::{Image, Shape};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::Reader;
use crate::content::Content;

/// One image in any of its spellings, appended to the reader's.
pub(super) struct OneImage<'r>(pub(super) &'r mut Reader);

impl<'de> DeserializeSeed<'de> for OneImage<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.0.depth = None;
        self.0.pixels = Vec::with_capacity(self.0.shape.len());
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneImage<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or a PNG or JPEG as a base64 string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let bytes = decode_base64(text)
            .map_err(|error| E::custom(format!("expected a PNG or JPEG in base64: {error}")))?;
        self.0.images.push(Content::Picture(bytes));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Values { reader: &mut *self.0, level: 0 }.visit_seq(seq)?;
        let pixels = std::mem::take(&mut self.0.pixels);
        let image = Image::new(self.0.shape, pixels).map_err(A::Error::custom)?;
        self.0.images.push(Content::Image(image));
        Ok(())
    }
}

/// What stands inside `level` arrays of an image: a number, or an array of more.
struct Values<'r> {
    reader: &'r mut Reader,
    level: usize,
}

impl Values<'_> {
    /// Values expected in an array at this level, once the first number has shown the layout.
    fn expected(&self) -> usize {
        let Shape { height, width, channels } = self.reader.shape;
        match (self.reader.depth, self.level) {
            (None | Some(1), 0) => self.reader.shape.len(),
            (_, 0) => height,
            (_, 1) => width,
            _ => channels,
        }
    }

    fn number<E: Error>(self, value: u64) -> Result<(), E> {
        let depth = *self.reader.depth.get_or_insert(self.level);
        if depth != self.level || (depth == 2 && self.reader.shape.channels != 1) {
            return Err(E::custom(format!("expected an array, found {value}")));
        }
        let pixel = u8::try_from(value).map_err(|_out_of_range| not_a_pixel(value))?;
        // More than the image holds are counted, not kept.
        if self.reader.pixels.len() < self.reader.shape.len() {
            self.reader.pixels.push(pixel);
        }
        Ok(())
    }
}

fn not_a_pixel<E: Error>(found: impl fmt::Display) -> E {
    E::custom(format!("expected a whole number from 0 to 255, found {found}"))
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 to 255")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        Err(not_a_pixel(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        Err(not_a_pixel(format_args!("{value:?}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { reader, level } = self;
        if level == 3 || reader.depth == Some(level) {
            return Err(A::Error::custom("expected a whole number from 0 to 255, found an array"));
        }
        let mut found = 0;
        reader.indices.push(0);
        let place = reader.indices.len() - 1;
        while seq.next_element_seed(Values { reader: &mut *reader, level: level + 1 })?.is_some() {
            found += 1;
            reader.indices[place] = found;
        }
        reader.indices.pop();
        let expected = Values { reader: &mut *reader, level }.expected();
        if found == expected {
            return Ok(());
        }
        let shape = reader.shape;
        let what = match (level, reader.depth) {
            (0, None | Some(1)) => format!("values for a {shape} image"),
            (0, _) => format!("rows for a {shape} image"),
            (1, _) => "pixels in this row".to_owned(),
            _ => "values in this pixel".to_owned(),
        };
        Err(A::Error::custom(format!("expected {expected} {what}, found {found}")))
    }
}

/// Padding is optional, white space is skipped, and a `data:` URL is taken for its content.
pub(crate) fn decode_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = match text.split_once(";base64,") {
        Some((head, data)) if head.starts_with("data:") => data,
        _ => text,
    };
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        LENIENT.decode(text.split_ascii_whitespace().collect::<String>())
    } else {
        LENIENT.decode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::image;
    use crate::problem::Code;

    const GREY: Shape = Shape { height: 2, width: 3, channels: 1 };
    const RGB: Shape = Shape { height: 1, width: 2, channels: 3 };

    #[track_caller]
    fn reads(shape: Shape, body: &str, pixels: [u8; 6]) {
        match image(body.as_bytes(), shape).unwrap() {
            Content::Image(image) => assert_eq!(image.pixels(), pixels),
            Content::Picture(_) => panic!("a picture was read from {body}"),
        }
    }

    #[track_caller]
    fn refuses(shape: Shape, body: &str, pointer: &str, detail: &str) {
        let refusal = image(body.as_bytes(), shape).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidImage, "{refusal:?}");
        let found = refusal.errors.first().map_or("", |mistake| &mistake.pointer);
        assert_eq!(found, pointer, "{refusal:?}");
        assert!(refusal.detail.contains(detail), "`{detail}` missing in {refusal:?}");
    }

    #[test]
    fn flat_numbers_rows_and_pixels_are_the_same_image() {
        reads(GREY, r#"{"image": [0, 1, 2, 3, 4, 255]}"#, [0, 1, 2, 3, 4, 255]);
        reads(GREY, r#"{"image": [[0, 1, 2], [3, 4, 255]]}"#, [0, 1, 2, 3, 4, 255]);
        reads(GREY, r#"{"image": [[[0], [1], [2]], [[3], [4], [255]]]}"#, [0, 1, 2, 3, 4, 255]);
        reads(RGB, r#"{"image": [0, 1, 2, 3, 4, 255]}"#, [0, 1, 2, 3, 4, 255]);
        reads(RGB, r#"{"image": [[[0, 1, 2], [3, 4, 255]]]}"#, [0, 1, 2, 3, 4, 255]);
    }

    #[test]
    fn a_wrong_count_says_what_was_expected_and_found() {
        let check = refuses;
        check(GREY, r#"{"image": []}"#, "/image", "expected 6 values for a 2×3×1 image, found 0");
        check(GREY, r#"{"image": [1, 2, 3, 4, 5]}"#, "/image", "expected 6 values");
        check(GREY, r#"{"image": [1, 2, 3, 4, 5, 6, 7, 8]}"#, "/image", "found 8");
        check(GREY, r#"{"image": [[1, 2, 3]]}"#, "/image", "expected 2 rows");
        check(
            GREY,
            r#"{"image": [[1, 2, 3], [1, 2]]}"#,
            "/image/1",
            "expected 3 pixels in this row, found 2",
        );
        check(GREY, r#"{"image": [[]]}"#, "/image/0", "expected 3 pixels in this row, found 0");
        check(
            RGB,
            r#"{"image": [[[1, 2, 3], [1, 2]]]}"#,
            "/image/0/1",
            "expected 3 values in this pixel",
        );
    }

    #[test]
    fn a_number_that_is_no_pixel_is_named_by_its_place() {
        let check = |body, pointer, detail| refuses(GREY, body, pointer, detail);
        check(r#"{"image": [[1, 2, 3], [4, 256, 6]]}"#, "/image/1/1", "found 256");
        check(r#"{"image": [1, 2, -3]}"#, "/image/2", "found -3");
        check(r#"{"image": [1, 0.5]}"#, "/image/1", "found 0.5");
        check(r#"{"image": [1.0]}"#, "/image/0", "found 1.0");
        check(r#"{"image": [1, null]}"#, "/image/1", "null");
        check(r#"{"image": [1, "2"]}"#, "/image/1", "string");
        check(r#"{"image": [99999999999999999999999]}"#, "/image/0", "found 1e23");
    }

    #[test]
    fn a_mix_of_layouts_is_refused() {
        let check = |shape, body, pointer| refuses(shape, body, pointer, "array");
        check(GREY, r#"{"image": [1, [2]]}"#, "/image/1");
        check(GREY, r#"{"image": [[1, 2, 3], 4]}"#, "/image/1");
        check(GREY, r#"{"image": [[[[1]]]]}"#, "/image/0/0/0");
        check(RGB, r#"{"image": [[1, 2]]}"#, "/image/0/0");
    }

    #[test]
    fn a_string_is_a_picture_however_it_is_spelled() {
        for text in ["AQID", "data:image/png;base64,AQID", "AQ\\nID", "AQI D"] {
            let body = format!(r#"{{"image": "{text}"}}"#);
            match image(body.as_bytes(), GREY).unwrap() {
                Content::Picture(bytes) => assert_eq!(bytes, [1, 2, 3]),
                Content::Image(_) => panic!("numbers were read from {body}"),
            }
        }
    }
}
