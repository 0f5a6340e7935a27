//! [`Observed`]: what drift needs of a record.

use contract::features::Features;
use contract::manifest::{Manifest, ModelVersion};
use contract::prediction::Label;
use contract::record;
use contract::record::skip::Skip;
use jiff::Timestamp;
use serde::Deserialize;

use crate::records::{Input, SKEW};

/// One prediction, borrowed from its line.
#[derive(Debug, PartialEq)]
pub(super) struct Observed<'a> {
    /// As written: RFC 3339, UTC.
    pub(super) at: &'a str,
    pub(super) features: Features,
    pub(super) confidence: f32,
    pub(super) label: Label,
}

/// What [`record::Record`] holds and is not here is passed over unread, pixels above all.
#[derive(Deserialize)]
struct Line<'a> {
    schema: u32,
    ts: &'a str,
    model_version: &'a str,
    input: Input,
    output: Output,
}

#[derive(Deserialize)]
struct Output {
    label: Label,
    confidence: f32,
}

/// `2026-11-27T12:15:00`: so far times compare as text.
const SECONDS: usize = 19;

/// Takes records of one model.
pub(super) struct Reader {
    model: ModelVersion,
    classes: usize,
    earliest: String,
    latest: String,
}

impl Reader {
    pub(super) fn new(manifest: &Manifest, now: Timestamp) -> Self {
        let trained: Option<Timestamp> = manifest.training.finished_at.parse().ok();
        let text = |time: Timestamp| format!("{time:.0}")[..SECONDS].to_owned();
        Self {
            model: manifest.model_version.clone(),
            classes: manifest.task.classes.len(),
            earliest: trained
                .and_then(|at| at.checked_sub(SKEW).ok())
                .map(text)
                .unwrap_or_default(),
            latest: text(now.checked_add(SKEW).unwrap_or(now)),
        }
    }

    pub(super) fn read<'a>(&self, line: &'a [u8]) -> Result<Observed<'a>, Skip> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else {
            return Err(Skip::unread(line));
        };
        let Line { schema, ts, model_version, input, output } = read;
        if schema != record::SCHEMA {
            return Err(Skip::OtherSchema);
        }
        if model_version != self.model.as_str() {
            return Err(Skip::OtherModel);
        }
        if output.label >= self.classes || !is_time(ts) {
            return Err(Skip::Malformed);
        }
        let second = &ts[..SECONDS];
        if second < self.earliest.as_str() || second > self.latest.as_str() {
            return Err(Skip::Clock);
        }
        let Input { ink, bbox, entropy } = input;
        let Output { label, confidence } = output;
        Ok(Observed { at: ts, features: Features { ink, bbox, entropy }, confidence, label })
    }
}

/// Whether it has the form in which records are written, so that a part of it is the day or the hour.
fn is_time(text: &str) -> bool {
    const FORM: &[u8; SECONDS] = b"0000-00-00T00:00:00";
    text.is_ascii()
        && text.len() > SECONDS
        && text.ends_with('Z')
        && text.bytes().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == *form,
        })
}
