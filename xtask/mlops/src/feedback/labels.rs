//! [`Labels`]: what a log says of feedback. Only what the service counted is one: the first with its receipt.

use std::collections::BTreeMap;
use std::io::{Write as _, stderr};
use std::path::PathBuf;

use contract::prediction::Label;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::left::{Left, Why};
use super::reading;
use contract::record::log::Log;
use contract::record::skip::Skip;

/// Which image of which request.
pub(super) type Subject = (String, usize);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    pub(super) truth: Label,
    pub(super) predicted: Label,
    pub(super) model_version: String,
    /// None where the service did not know callers apart.
    pub(super) client: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Labels(pub(super) BTreeMap<Subject, Vec<Labelled>>);

/// What the service says of a request that it answered.
const ACCESS: &str = "access";

/// The one part of a line that tells feedback from all else.
#[derive(Default, Deserialize)]
struct Form {
    target: Option<String>,
    counted: Option<bool>,
}

#[derive(Deserialize)]
struct Line {
    about: String,
    image: usize,
    predicted: Label,
    truth: Label,
    model_version: String,
    client: Option<String>,
}

impl Labels {
    pub(super) fn read(logs: &[PathBuf], classes: usize, left: &mut Left) -> anyhow::Result<Self> {
        let mut labels = Self::default();
        for path in logs {
            reading(path);
            let mut log = Log::open(path)?;
            let mut has_access = false;
            while let Some(line) = log.next_line()? {
                match line.and_then(form) {
                    Ok((line, form)) if form.target.as_deref() == Some(ACCESS) => {
                        has_access = true;
                        if let Some(counted) = form.counted {
                            labels.take(line, counted, classes, left);
                        }
                    }
                    Ok(_) => {}
                    Err(skip) => left.unread(skip),
                }
            }
            if !has_access {
                // Whoever closed stderr does not read it.
                drop(writeln!(
                    stderr(),
                    "warning: no request was answered in `{}`\nhint: lines as the service writes them, without words of \
                     others before",
                    path.display()
                ));
            }
        }
        Ok(labels)
    }

    fn take(&mut self, line: &[u8], counted: bool, classes: usize, left: &mut Left) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            return left.out(Why::Malformed, 1);
        };
        if !counted {
            return left.out(Why::Repeated, 1);
        }
        if line.truth >= classes {
            return left.out(Why::UnknownClass, 1);
        }
        let Line { about, image, predicted, truth, model_version, client } = line;
        let labelled = Labelled { truth, predicted, model_version, client };
        self.0.entry((about, image)).or_default().push(labelled);
    }
}

fn form(line: &[u8]) -> Result<(&[u8], Form), Skip> {
    match serde_json::from_slice(line) {
        Ok(form) => Ok((line, form)),
        // Of another program, or of a part of ours that says other things.
        Err(_) if serde_json::from_slice::<Map<String, Value>>(line).is_ok() => {
            Ok((line, Form::default()))
        }
        Err(_) => Err(Skip::NoObject),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(changes: &Value) -> String {
        let mut line = json!({ "target": "access", "route": "/v1/feedback", "status": 200, "about": "r", "image": 0,
            "predicted": 1, "truth": 2, "counted": true, "model_version": "0123456789ab" });
        let fields = changes.as_object().unwrap().clone();
        line.as_object_mut().unwrap().extend(fields);
        line.to_string()
    }

    #[test]
    fn what_was_counted_is_a_label_and_other_lines_are_none() {
        let text = [
            line(&json!({})),
            line(&json!({ "counted": false })),
            line(&json!({ "truth": 3 })),
            line(&json!({ "truth": "2" })),
            line(&json!({ "counted": null })),
            line(&json!({ "target": "elsewhere" })),
            line(&json!({ "target": 7 })),
            format!("2026-01-01T00:00:00Z stdout F {}", line(&json!({}))),
            "7".to_owned(),
            "a panic\n".to_owned(),
        ];
        let log = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(log.path(), text.join("\n")).unwrap();
        let mut left = Left::default();
        let labels = Labels::read(&[log.path().to_owned()], 3, &mut left).unwrap();
        assert_eq!(labels.0.values().map(Vec::len).collect::<Vec<_>>(), [1]);
        let expected = [(Why::Malformed, 1), (Why::Repeated, 1), (Why::UnknownClass, 1)];
        assert_eq!(left.labels, expected.into());
        assert_eq!(left.lines, [(Skip::NoObject, 3)].into());
    }
}
