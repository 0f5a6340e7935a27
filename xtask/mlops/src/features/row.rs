//! [`Row`]: what is exported of a record, and [`Reader`], which takes it from a line.

use std::borrow::Cow;

use contract::features::Features;
use contract::manifest::ModelVersion;
use contract::prediction::Label;
use contract::record::skip::Skip;
use contract::record::{Kind, SCHEMA};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use parquet::data_type::ByteArray;
use serde::Deserialize;

use crate::records::{Input, SKEW};

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: Timestamp,
    pub(super) request_id: ByteArray,
    pub(super) image: i64,
    pub(super) features: Features,
    pub(super) label: i64,
    pub(super) confidence: f32,
    pub(super) margin: f32,
    /// In nats.
    pub(super) output_entropy: f32,
    pub(super) model_version: ByteArray,
    pub(super) app_version: ByteArray,
}

impl Row {
    /// UTC.
    pub(super) fn day(&self) -> Date {
        Offset::UTC.to_datetime(self.at).date()
    }

    /// One for each image of each request.
    pub(super) fn key(&self) -> ByteArray {
        let mut key = self.request_id.data().to_vec();
        key.extend_from_slice(format!("/{}", self.image).as_bytes());
        key.into()
    }
}

/// What [`contract::record::Record`] holds and is not here is passed over unread, pixels above all.
#[derive(Deserialize)]
struct Line<'a> {
    schema: u32,
    #[expect(dead_code, reason = "only those of predictions are read")]
    kind: Kind,
    ts: &'a str,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    app_version: Cow<'a, str>,
    model_version: ModelVersion,
    image: usize,
    input: Input,
    output: Output,
}

#[derive(Deserialize)]
struct Output {
    label: Label,
    confidence: f32,
    margin: f32,
    entropy: f32,
}

pub(super) struct Reader {
    latest: Timestamp,
}

impl Reader {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { latest: now.checked_add(SKEW).unwrap_or(now) }
    }

    pub(super) fn read(&self, line: &[u8]) -> Result<Row, Skip> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else {
            return Err(Skip::unread(line));
        };
        if read.schema != SCHEMA {
            return Err(Skip::OtherSchema);
        }
        let (Ok(at), Ok(image), Ok(label)) =
            (read.ts.parse::<Timestamp>(), read.image.try_into(), read.output.label.try_into())
        else {
            return Err(Skip::Malformed);
        };
        if at < Timestamp::UNIX_EPOCH || at > self.latest {
            return Err(Skip::Clock);
        }
        let Input { ink, bbox, entropy } = read.input;
        let Output { confidence, margin, entropy: output_entropy, .. } = read.output;
        Ok(Row {
            at,
            request_id: text(read.request_id),
            image,
            features: Features { ink, bbox, entropy },
            label,
            confidence,
            margin,
            output_entropy,
            model_version: text(String::from(read.model_version).into()),
            app_version: text(read.app_version),
        })
    }
}

fn text(text: Cow<'_, str>) -> ByteArray {
    text.into_owned().into_bytes().into()
}
