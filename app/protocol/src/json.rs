//! JSON bodies: `{"image": …}` and `{"images": […]}`, read by a visitor straight into pixels, with no
//! tree of values in between. A mistake is named by its JSON pointer.
//!
//! An image is flat numbers, rows of numbers (one channel), rows of pixels of numbers, or a string:
//! a PNG or JPEG in base64. Numbers are whole and from 0 to 255; nothing is rounded or clamped.

mod pixels;
mod plain;

use std::fmt;

use contract::image::Shape;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::content::Content;
use crate::json::pixels::OneImage;
pub(crate) use crate::json::pixels::decode_base64;
use crate::problem::{Code, Refusal};

/// Reads `{"image": …}`.
pub fn image(body: &[u8], shape: Shape) -> Result<Content, Refusal> {
    if let Some(image) = plain::image(body, shape) {
        return Ok(Content::Image(image));
    }
    let mut images = read(body, Reader::new(shape, "image", 1))?;
    Ok(images.pop().expect("a document without its field was refused"))
}

/// Reads `{"images": […]}`, at least one and at most `limit`.
pub fn images(body: &[u8], shape: Shape, limit: usize) -> Result<Vec<Content>, Refusal> {
    if let Some(images) = plain::images(body, shape, limit) {
        return Ok(images.into_iter().map(Content::Image).collect());
    }
    read(body, Reader::new(shape, "images", limit))
}

fn read(body: &[u8], mut reader: Reader) -> Result<Vec<Content>, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Document(&mut reader).deserialize(&mut json).and_then(|()| json.end());
    match read {
        Ok(()) => Ok(reader.images),
        Err(error) if error.is_data() => {
            Err(Refusal::at(reader.code, reader.pointer(), without_place(&error)))
        }
        Err(error) => Err(Refusal::new(Code::MalformedJson, format!("not JSON: {error}"))),
    }
}

/// What is wrong; where is said by a pointer. A long value of the caller's is not repeated whole.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    const KEPT: usize = 120;
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let (head, tail) = (text.char_indices().nth(KEPT), text.char_indices().nth_back(KEPT));
    match (head, tail) {
        (Some((head, _)), Some((tail, _))) if head < tail => {
            format!("{}…{}", &text[..head], &text[tail..])
        }
        _ => text.to_owned(),
    }
}

/// Where reading stands. After a failure it says where that was.
struct Reader {
    shape: Shape,
    field: &'static str,
    limit: usize,
    code: Code,
    key: Option<String>,
    indices: Vec<usize>,
    images: Vec<Content>,
    pixels: Vec<u8>,
    /// Arrays around each number of the current image; unknown before its first number.
    depth: Option<usize>,
}

impl Reader {
    fn new(shape: Shape, field: &'static str, limit: usize) -> Self {
        Self {
            shape,
            field,
            limit,
            code: Code::InvalidImage,
            key: None,
            indices: Vec::with_capacity(4),
            images: Vec::new(),
            pixels: Vec::new(),
            depth: None,
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        if let Some(key) = &self.key {
            pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        }
        for index in &self.indices {
            pointer = format!("{pointer}/{index}");
        }
        pointer
    }
}

struct Document<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field `{}`", self.0.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(reader) = self;
        let field = reader.field;
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            let known = key == field;
            // It goes back to the caller, who may have made it long.
            reader.key = Some(key.chars().take(64).collect());
            if !known {
                return Err(A::Error::custom(format!("unknown field, expected `{field}`")));
            }
            if found {
                return Err(A::Error::custom("the field occurs twice"));
            }
            found = true;
            if field == "image" {
                map.next_value_seed(OneImage(reader))?;
            } else {
                map.next_value_seed(ManyImages(reader))?;
            }
        }
        reader.key = Some(field.to_owned());
        if found { Ok(()) } else { Err(A::Error::custom("the field is missing")) }
    }
}

struct ManyImages<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for ManyImages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ManyImages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {} images", self.0.limit)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(reader) = self;
        loop {
            reader.indices.push(reader.images.len());
            // Past the limit whatever follows is refused unread.
            if reader.images.len() == reader.limit {
                if seq.next_element_seed(TooMany(reader))?.is_none() {
                    break;
                }
            } else if seq.next_element_seed(OneImage(reader))?.is_none() {
                break;
            }
            reader.indices.pop();
        }
        reader.indices.pop();
        if reader.images.is_empty() {
            Err(A::Error::custom("expected at least one image"))
        } else {
            Ok(())
        }
    }
}

struct TooMany<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for TooMany<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        self.0.code = Code::TooManyImages;
        Err(D::Error::custom(format!("expected at most {} images", self.0.limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: Shape = Shape { height: 2, width: 3, channels: 1 };

    #[track_caller]
    fn refuses(shape: Shape, body: &str, pointer: &str, detail: &str) {
        let refusal = image(body.as_bytes(), shape).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidImage, "{refusal:?}");
        let found = refusal.errors.first().map_or("", |mistake| &mistake.pointer);
        assert_eq!(found, pointer, "{refusal:?}");
        assert!(refusal.detail.contains(detail), "`{detail}` missing in {refusal:?}");
    }

    #[test]
    fn a_document_of_another_kind_is_refused() {
        let check = |body, pointer, detail| refuses(GREY, body, pointer, detail);
        check("{}", "/image", "missing");
        check("[1]", "", "expected an object");
        check(r#"{"image": 7}"#, "/image", "expected numbers or a PNG");
        check(r#"{"images": []}"#, "/images", "unknown field, expected `image`");
        check(r#"{"a/b~c": 1}"#, "/a~1b~0c", "unknown field");
        let long = "x".repeat(9999);
        let (body, pointer) = (format!(r#"{{"{long}": 1}}"#), format!("/{}", &long[..64]));
        refuses(GREY, &body, &pointer, "unknown field");
        check(r#"{"image": [1,2,3,4,5,6], "image": 1}"#, "/image", "twice");
        check(r#"{"image": "%%"}"#, "/image", "base64");
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        let more = r#"{"image": [1, 2, 3, 4, 5, 6]}}"#;
        for body in ["", "{", more, r#"{"image": [1, 2,]}"#, r#"{"image": [01]}"#, "\u{feff}{}"] {
            let refusal = image(body.as_bytes(), GREY).unwrap_err();
            assert_eq!(refusal.code, Code::MalformedJson, "{body}: {refusal:?}");
        }
        assert_eq!(image(b"{\"image\": \"\xff\"}", GREY).unwrap_err().code, Code::MalformedJson);
    }

    #[test]
    fn a_batch_holds_images_of_any_spelling_up_to_its_limit() {
        let body = br#"{"images": [[1,2,3,4,5,6], [[1,2,3],[4,5,6]], "AQID"]}"#;
        assert_eq!(images(body, GREY, 3).unwrap().len(), 3);
        let refusal = images(body, GREY, 2).unwrap_err();
        assert_eq!((refusal.code, &*refusal.errors[0].pointer), (Code::TooManyImages, "/images/2"));
        let check = |body: &str, pointer: &str| {
            let refusal = images(body.as_bytes(), GREY, 3).unwrap_err();
            assert_eq!((refusal.code, &*refusal.errors[0].pointer), (Code::InvalidImage, pointer));
        };
        check(r#"{"images": []}"#, "/images");
        check(r#"{"images": [[1,2,3,4,5,6], [[1,2,3],[4,5,-6]]]}"#, "/images/1/1/2");
    }
}
