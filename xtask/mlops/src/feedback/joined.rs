//! [`Joined`]: labels with the pixels that they are about. A record is believed where its pixels have the digest that
//! it says, and where it is of the answer that was labelled. Callers name their requests themselves, so two may use one
//! name: then nobody knows whose picture was labelled.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::digest::Digest;
use contract::image::Shape;
use contract::prediction::Label;
use contract::record::SCHEMA;
use serde::Deserialize;

use super::labels::{Labelled, Labels, Subject};
use super::left::{Left, Why};
use super::reading;
use contract::record::log::Log;
use contract::record::skip::Skip;

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
        labels: Labels,
        shape: Shape,
        left: &mut Left,
    ) -> anyhow::Result<Self> {
        let mut recorded = Recorded::default();
        for path in logs {
            reading(path);
            let mut log = Log::open(path)?;
            while let Some(line) = log.next_line()? {
                if let Err(skip) = line.and_then(|line| recorded.take(line, &labels)) {
                    left.unread(skip);
                }
            }
        }
        let mut joined = Self::default();
        for (subject, about) in labels.0 {
            joined.take(about, recorded.0.remove(&subject), shape, left);
        }
        Ok(joined)
    }

    fn take(&mut self, about: Vec<Labelled>, seen: Option<Seen>, shape: Shape, left: &mut Left) {
        let Some(Seen { digest, is_one, sampled }) = seen else {
            return left.out(Why::NotSampled, about.len());
        };
        if !is_one {
            return left.out(Why::OneNameForTwo, about.len());
        }
        let Some(Sampled { pixels, model_version, label }) = sampled else {
            return left.out(Why::NotSampled, about.len());
        };
        let pixels = STANDARD.decode(pixels).unwrap_or_default();
        if pixels.len() != shape.len() || Digest::of(&pixels) != digest {
            return left.out(Why::Damaged, about.len());
        }
        let (of_it, others): (Vec<_>, Vec<_>) = about.into_iter().partition(|labelled| {
            labelled.model_version == model_version && labelled.predicted == label
        });
        left.out(Why::OtherAnswer, others.len());
        if of_it.is_empty() {
            return;
        }
        let new = || Picture { pixels, labels: Vec::new() };
        self.0.entry(digest).or_insert_with(new).labels.extend(of_it);
    }
}

/// What records say of the pictures that were labelled.
#[derive(Default)]
struct Recorded(HashMap<Subject, Seen>);

struct Seen {
    digest: Digest,
    /// All records of this name are of one picture.
    is_one: bool,
    sampled: Option<Sampled>,
}

struct Sampled {
    /// As the record has them.
    pixels: String,
    model_version: String,
    label: Label,
}

impl Recorded {
    fn take(&mut self, line: &[u8], labels: &Labels) -> Result<(), Skip> {
        let line: Line<'_> = serde_json::from_slice(line).or(Err(Skip::Malformed))?;
        if line.schema != SCHEMA {
            return Err(Skip::OtherSchema);
        }
        let subject = (line.request_id.into_owned(), line.image);
        if !labels.0.contains_key(&subject) {
            return Ok(());
        }
        let digest = line.input.sha256;
        let new = || Seen { digest, is_one: true, sampled: None };
        let seen = self.0.entry(subject).or_insert_with(new);
        seen.is_one &= seen.digest == digest;
        if let (Some(pixels), None) = (line.pixels, &seen.sampled) {
            seen.sampled = Some(Sampled {
                pixels: pixels.into_owned(),
                model_version: line.model_version.to_owned(),
                label: line.output.label,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::*;

    const SHAPE: Shape = Shape { height: 2, width: 2, channels: 1 };
    const MODEL: &str = "0123456789ab";

    fn record(request: &str, changes: Value) -> String {
        let pixels = [1, 2, 3, 4];
        let mut record = json!({ "schema": SCHEMA, "request_id": request, "image": 0, "model_version": MODEL,
            "input": { "sha256": Digest::of(&pixels), "ink": 0.5 }, "output": { "label": 1, "confidence": 0.9 },
            "pixels": STANDARD.encode(pixels) });
        let Value::Object(changes) = changes else { panic!("changes by field") };
        record.as_object_mut().unwrap().extend(changes);
        format!("{record}\n")
    }

    fn another() -> Value {
        let pixels = [4, 3, 2, 1];
        json!({ "input": { "sha256": Digest::of(&pixels), "ink": 0.5 }, "pixels": STANDARD.encode(pixels) })
    }

    #[test]
    fn a_label_is_of_the_picture_that_was_answered_or_left_out_by_its_reason() {
        let labelled =
            Labelled { truth: 0, predicted: 1, model_version: MODEL.to_owned(), client: None };
        let subject = |name: &str| ((name.to_owned(), 0), vec![labelled.clone()]);
        let names = [
            "good",
            "twice",
            "other model",
            "other answer",
            "altered",
            "short",
            "unsampled",
            "newer",
            "shared",
            "shared with one not sampled",
        ];
        let labels = Labels(names.map(subject).into());
        let lines = [
            record("good", json!({})),
            record("twice", json!({})),
            record("twice", json!({})),
            record("other model", json!({ "model_version": "ba9876543210" })),
            record("other answer", json!({ "output": { "label": 0 } })),
            record("altered", json!({ "pixels": STANDARD.encode([1, 2, 3, 5]) })),
            record("short", json!({ "pixels": "AQID" })),
            record("unsampled", json!({ "pixels": null })),
            record("newer", json!({ "schema": SCHEMA + 1 })),
            record("shared", json!({})),
            record("shared", another()),
            record("shared with one not sampled", json!({})),
            record(
                "shared with one not sampled",
                json!({ "input": another()["input"], "pixels": null }),
            ),
            record("of nobody", json!({})),
            "no record\n".to_owned(),
        ]
        .concat();
        let folder = tempfile::tempdir().unwrap();
        let [plain, broken] = ["plain.jsonl", "broken.gz"].map(|name| folder.path().join(name));
        // The last line is half written.
        fs_err::write(&plain, format!("{lines}{{\"schema\":1")).unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(lines.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        fs_err::write(&broken, &packed[..packed.len() / 2]).unwrap();

        let mut left = Left::default();
        let joined = Joined::read(&[plain, broken], labels, SHAPE, &mut left).unwrap();
        let found: Vec<usize> = joined.0.values().map(|picture| picture.labels.len()).collect();
        assert_eq!(found, [2], "the same picture");
        let expected = [
            (Why::NotSampled, 2),
            (Why::OneNameForTwo, 2),
            (Why::OtherAnswer, 2),
            (Why::Damaged, 2),
        ];
        assert_eq!(left.labels, expected.into());
        assert_eq!((left.lines[&Skip::CutOff], left.lines[&Skip::Damaged]), (1, 1));
        assert!(left.lines[&Skip::OtherSchema] >= 1 && left.lines[&Skip::Malformed] >= 1);
    }
}
