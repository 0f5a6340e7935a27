//! What a server says of itself and of its one model.

use contract::task::Task;
use serde::{Deserialize, Serialize};

use super::{INPUT, Output};
use crate::json;
use crate::problem::{Code, Refusal};

/// Optional parts of the protocol that are served.
pub const EXTENSIONS: [&str; 1] = ["binary_tensor_data"];

/// As the protocol wants it spelled: who made the model, and its format.
pub const PLATFORM: &str = "pytorch_torchscript";

#[derive(Debug, Serialize)]
pub struct Server<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub extensions: &'a [&'a str],
}

/// The process answers at all, and takes requests.
#[derive(Debug, Serialize)]
pub struct Health {
    pub live: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
}

#[derive(Debug, Serialize)]
pub struct Models<'a> {
    pub models: [&'a str; 1],
}

#[derive(Debug, Serialize)]
pub struct Readiness<'a> {
    pub name: &'a str,
    pub ready: bool,
}

/// Tensors by name, and how they are best sent; a length of -1 is up to the caller.
#[derive(Debug, Serialize)]
pub struct Model<'a> {
    name: &'a str,
    versions: [&'a str; 1],
    platform: &'static str,
    inputs: [Tensor; 1],
    outputs: [Tensor; 2],
}

#[derive(Debug, Serialize)]
struct Tensor {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<i64>,
}

impl<'a> Model<'a> {
    pub fn of(task: &'a Task, version: &'a str) -> Self {
        let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let mut shape = vec![-1, length(task.input.height), length(task.input.width)];
        if task.input.channels > 1 {
            shape.push(length(task.input.channels));
        }
        let classes = length(task.classes.len());
        let output = |output: Output| Tensor {
            name: output.name(),
            datatype: output.datatype(),
            shape: output.shape(-1, classes),
        };
        Self {
            name: &task.name,
            versions: [version],
            platform: PLATFORM,
            inputs: [Tensor { name: INPUT, datatype: "UINT8", shape }],
            outputs: Output::ALL.map(output),
        }
    }
}

/// Which models the repository's index shall list; an empty body means all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object, in it at most `ready`")]
pub struct Listing {
    pub ready: bool,
}

impl Listing {
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| {
            let code = if error.is_data() { Code::MalformedRequest } else { Code::MalformedJson };
            Refusal::new(code, json::without_place(&error))
        })
    }
}

/// A line of the repository's index.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub state: &'static str,
    /// Why it is not ready; empty where it is.
    pub reason: &'a str,
}
