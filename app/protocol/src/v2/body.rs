//! The body of an inference request as JSON has it, before anything is made of it. `data` stays text, since
//! its datatype may come after it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use super::{INPUT, Output};
use crate::json;
use crate::problem::{Code, Refusal};

#[derive(Deserialize)]
#[serde(expecting = "an object with `inputs`")]
pub(super) struct Body<'b> {
    pub(super) id: Option<String>,
    pub(super) parameters: Option<Parameters>,
    #[serde(borrow)]
    pub(super) inputs: Only<Tensor<'b>>,
    pub(super) outputs: Option<Vec<Wanted>>,
}

/// Of all that clients send only what changes bytes: the rest is passed over.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of parameters")]
pub(super) struct Parameters {
    pub(super) binary_data_size: Option<usize>,
    pub(super) binary_data: Option<bool>,
    pub(super) binary_data_output: Option<bool>,
    pub(super) classification: Option<IgnoredAny>,
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `name`, `shape`, `datatype` and `data`")]
pub(super) struct Tensor<'b> {
    pub(super) name: String,
    pub(super) shape: Vec<Length>,
    pub(super) datatype: String,
    pub(super) parameters: Option<Parameters>,
    #[serde(borrow)]
    pub(super) data: Option<&'b RawValue>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `name`")]
pub(super) struct Wanted {
    pub(super) name: Output,
    pub(super) parameters: Option<Parameters>,
}

impl Tensor<'_> {
    pub(super) fn is_binary(&self) -> bool {
        self.parameters.as_ref().is_some_and(|parameters| parameters.binary_data_size.is_some())
    }

    pub(super) fn lengths(&self) -> Vec<usize> {
        self.shape.iter().map(|length| length.0).collect()
    }
}

pub(super) fn parse(json: &[u8]) -> Result<Body<'_>, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = error.path().iter().map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        });
        let (pointer, error) = (pointer.collect(), error.into_inner());
        if error.is_data() {
            Refusal::at(Code::InvalidTensor, pointer, json::without_place(&error))
        } else {
            malformed(&error)
        }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(body)
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::new(Code::MalformedJson, format!("not JSON: {error}"))
}

/// An array of one: a third element is not even read.
pub(super) struct Only<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Only<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct One<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for One<T> {
            type Value = Only<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of one tensor, `{INPUT}`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Only<T>, A::Error> {
                let Some(only) = seq.next_element()? else {
                    return Err(Error::invalid_length(0, &self));
                };
                match seq.next_element::<IgnoredAny>()? {
                    Some(_) => Err(Error::invalid_length(2, &self)),
                    None => Ok(Only(only)),
                }
            }
        }

        json.deserialize_seq(One(PhantomData))
    }
}

/// One length of a shape.
pub(super) struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct One;

        impl Visitor<'_> for One {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length")
            }

            fn visit_u64<E: Error>(self, length: u64) -> Result<Length, E> {
                let length = usize::try_from(length);
                length.map(Length).map_err(|_too_long| E::custom("expected a length"))
            }
        }

        json.deserialize_u64(One)
    }
}
