//! [`Joined`]: labels with the pixels that they are about. A record is believed where its pixels have the digest that
//! it says, and where it is of the answer that was labelled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::digest::Digest;
use contract::image::Shape;
use contract::prediction::Label;
use contract::record::SCHEMA;
use serde::Deserialize;

use super::labels::{Labelled, Labels};
use super::left::{Left, Why};
use super::reading;
use crate::drift::{Log, Skip};

#[derive(Debug)]
pub(super) struct Picture {
    pub(super) pixels: Vec<u8>,
    /// At least one.
    pub(super) labels: Vec<Labelled>,
}

/// By the digest of the pixels: the same picture, asked several times, is one.
#[derive(Debug, Default)]
pub(super) struct Joined(pub(super) BTreeMap<Digest, Picture>);

/// Of a record what is needed here; the rest is passed over.
#[derive(Deserialize)]
struct Line<'a> {
    schema: u32,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    image: usize,
    model_version: &'a str,
    input: Input,
    output: Output,
    #[serde(borrow, default)]
    pixels: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Input {
    sha256: Digest,
}

#[derive(Deserialize)]
struct Output {
    label: Label,
}

impl Joined {
    pub(super) fn read(
        logs: &[PathBuf],
        mut labels: Labels,
        shape: Shape,
        left: &mut Left,
    ) -> anyhow::Result<Self> {
        let mut joined = Self::default();
        for path in logs {
            reading(path);
            let mut log = Log::open(path)?;
            while let Some(line) = log.next_line()? {
                if let Err(skip) = line.and_then(|line| joined.take(line, &mut labels, shape, left))
                {
                    left.unread(skip);
                }
            }
        }
        left.out(Why::NotSampled, labels.0.values().map(Vec::len).sum());
        Ok(joined)
    }

    fn take(
        &mut self,
        line: &[u8],
        labels: &mut Labels,
        shape: Shape,
        left: &mut Left,
    ) -> Result<(), Skip> {
        let line: Line<'_> = serde_json::from_slice(line).or(Err(Skip::Malformed))?;
        if line.schema != SCHEMA {
            return Err(Skip::OtherSchema);
        }
        let Some(pixels) = line.pixels else { return Ok(()) };
        let subject = (line.request_id.into_owned(), line.image);
        let Some(about) = labels.0.remove(&subject) else { return Ok(()) };
        let pixels = STANDARD.decode(&*pixels).unwrap_or_default();
        if pixels.len() != shape.len() || Digest::of(&pixels) != line.input.sha256 {
            left.out(Why::Damaged, about.len());
            return Ok(());
        }
        let (of_it, others): (Vec<_>, Vec<_>) = about.into_iter().partition(|labelled| {
            labelled.model_version == line.model_version && labelled.predicted == line.output.label
        });
        left.out(Why::OtherAnswer, others.len());
        if of_it.is_empty() {
            return Ok(());
        }
        let new = || Picture { pixels, labels: Vec::new() };
        self.0.entry(line.input.sha256).or_insert_with(new).labels.extend(of_it);
        Ok(())
    }
}
