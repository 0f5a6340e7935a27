//! `data` of a JSON tensor, read by a visitor straight into pixels or pictures. It is flat, or nested as
//! the shape says; the first element shows which, and every other must agree with it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::elements::Elements;
use super::of_input;
use crate::content::Content;
use crate::json;
use crate::problem::{Code, Refusal};

/// What was read: one of the two, as the elements say.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// In the tensor's order.
    pub(super) pixels: Vec<u8>,
    pub(super) pictures: Vec<Content>,
}

/// Reads as many elements as `dimensions` hold; a mistake is named by its JSON pointer, `place` first.
pub(super) fn read(
    data: &RawValue,
    elements: Elements,
    dimensions: &[usize],
    place: &str,
) -> Result<Values, Refusal> {
    let total = dimensions.iter().product();
    let mut reader = Reader {
        elements,
        dimensions,
        total,
        code: Code::InvalidTensor,
        indices: Vec::with_capacity(dimensions.len()),
        depth: None,
        values: Values::default(),
    };
    match elements {
        Elements::Pictures => reader.values.pictures.reserve_exact(total),
        _ => reader.values.pixels.reserve_exact(total),
    }
    let mut json = serde_json::Deserializer::from_str(data.get());
    match (Level { reader: &mut reader, level: 0 }).deserialize(&mut json) {
        Ok(()) => Ok(reader.values),
        Err(error) if error.is_data() => {
            let pointer =
                reader.indices.iter().fold(place.to_owned(), |place, i| format!("{place}/{i}"));
            Err(of_input(reader.code, pointer, &json::without_place(&error)))
        }
        // Such as a number that no float holds: it was JSON for as long as nobody read it.
        Err(error) => {
            let detail = format!("not JSON: {}", json::without_place(&error));
            Err(of_input(Code::MalformedJson, place.to_owned(), &detail))
        }
    }
}

/// Where reading stands. After a failure it says where that was.
struct Reader<'d> {
    elements: Elements,
    dimensions: &'d [usize],
    total: usize,
    code: Code,
    indices: Vec<usize>,
    /// Arrays around each element; unknown before the first.
    depth: Option<usize>,
    values: Values,
}

/// What stands inside `level` arrays: an element, or an array of more.
struct Level<'r, 'd> {
    reader: &'r mut Reader<'d>,
    level: usize,
}

impl Level<'_, '_> {
    /// An element may stand in one array or in as many as there are dimensions.
    fn is_at_its_level(&mut self) -> bool {
        let Self { reader, level } = self;
        let depth = *reader.depth.get_or_insert(*level);
        depth == *level && (depth == 1 || depth == reader.dimensions.len())
    }

    fn number<E: Error>(
        mut self,
        pixel: impl Fn(Elements) -> Option<u8>,
        found: impl fmt::Display,
    ) -> Result<(), E> {
        let elements = self.reader.elements;
        if elements == Elements::Pictures {
            return Err(E::custom(format!("expected {elements}, found {found}")));
        }
        if !self.is_at_its_level() {
            return Err(E::custom(format!("expected an array, found {found}")));
        }
        let Some(pixel) = pixel(elements) else {
            self.reader.code = Code::InvalidImage;
            return Err(E::custom(elements.not_a_pixel(found)));
        };
        // More than the tensor holds are counted, not kept.
        if self.reader.values.pixels.len() < self.reader.total {
            self.reader.values.pixels.push(pixel);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level == 0 {
            f.write_str("an array")
        } else {
            write!(f, "{}", self.reader.elements)
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(|elements| elements.whole(value), value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(|_negative| None, value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(|elements| elements.real(value), format_args!("{value:?}"))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        let elements = self.reader.elements;
        if elements != Elements::Pictures {
            return Err(E::custom(format!("expected {elements}, found a string")));
        }
        if !self.is_at_its_level() {
            return Err(E::custom("expected an array, found a string"));
        }
        let bytes = json::decode_base64(text)
            .map_err(|error| E::custom(format!("expected a PNG or JPEG in base64: {error}")))?;
        if self.reader.values.pictures.len() < self.reader.total {
            self.reader.values.pictures.push(Content::Picture(bytes));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { reader, level } = self;
        if level == reader.dimensions.len() || reader.depth == Some(level) {
            let wanted = reader.elements;
            return Err(A::Error::custom(format!("expected {wanted}, found an array")));
        }
        let mut found = 0;
        reader.indices.push(0);
        while seq.next_element_seed(Level { reader: &mut *reader, level: level + 1 })?.is_some() {
            found += 1;
            reader.indices[level] = found;
        }
        reader.indices.pop();
        let is_flat = level == 0 && matches!(reader.depth, None | Some(1));
        let expected = if is_flat { reader.total } else { reader.dimensions[level] };
        if found == expected {
            return Ok(());
        }
        let (shape, here) = (reader.dimensions, if is_flat { "" } else { " here" });
        Err(A::Error::custom(format!(
            "expected {expected} elements{here} for the shape {shape:?}, found {found}"
        )))
    }
}
