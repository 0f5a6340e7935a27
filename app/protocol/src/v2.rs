//! The Open Inference Protocol, version 2, over REST: tensors on one side, images and predictions on the other.
//!
//! A model has one input, [`INPUT`], and the outputs of [`Output`]. [`request`] is what a body asks for, its
//! elements read by [`data`] (JSON) or [`binary`] (the extension of that name) straight into pixels: [`elements`]
//! says what counts as a pixel, [`layout`] which shapes hold images. [`response`] and [`metadata`] are the way back.
//! Nothing else is asked of a tensor than its elements: unknown fields and parameters are passed over, as the
//! protocol wants it.

mod binary;
mod body;
mod data;
pub mod elements;
mod layout;
pub mod metadata;
pub mod request;
pub mod response;

use serde::{Deserialize, Serialize};

pub use self::binary::HEADER;
use crate::problem::{Code, Refusal};

/// Name of every model's only input tensor.
pub const INPUT: &str = "image";

/// An output tensor of every model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// FP32 `[images, classes]`, 0 to 1.
    Probabilities,
    /// INT64 `[images]`: index of the likeliest class.
    Label,
}

impl Output {
    pub const ALL: [Self; 2] = [Self::Probabilities, Self::Label];

    pub fn name(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::Label => "label",
        }
    }

    pub fn datatype(self) -> &'static str {
        match self {
            Self::Probabilities => "FP32",
            Self::Label => "INT64",
        }
    }

    /// For so many images.
    fn shape<T>(self, images: T, classes: T) -> Vec<T> {
        match self {
            Self::Probabilities => vec![images, classes],
            Self::Label => vec![images],
        }
    }
}

/// A refusal for the input tensor's sake.
fn of_input(code: Code, pointer: String, detail: &str) -> Refusal {
    Refusal::at(code, pointer, format!("tensor `{INPUT}`: {detail}"))
}

#[cfg(test)]
mod tests;
