//! [`Labels`]: what a log says of feedback. Only what the service counted is one: the first with its receipt.

use std::collections::HashMap;
use std::path::PathBuf;

use contract::prediction::Label;
use serde::Deserialize;

use super::left::{Left, Why};
use super::reading;
use contract::record::log::Log;

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
pub(super) struct Labels(pub(super) HashMap<Subject, Vec<Labelled>>);

/// The one part of a line that tells feedback from all else.
#[derive(Deserialize)]
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
            while let Some(line) = log.next_line()? {
                match line {
                    Ok(line) => labels.take(line, classes, left),
                    Err(skip) => left.unread(skip),
                }
            }
        }
        Ok(labels)
    }

    fn take(&mut self, line: &[u8], classes: usize, left: &mut Left) {
        let form = serde_json::from_slice::<Form>(line).ok();
        let Some(Form { target: Some(target), counted: Some(counted) }) = form else { return };
        if target != "access" {
            return;
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
        let mut left = Left::default();
        let mut labels = Labels::default();
        for text in [
            line(&json!({})),
            line(&json!({ "counted": false })),
            line(&json!({ "truth": 3 })),
            line(&json!({ "truth": "2" })),
            line(&json!({ "counted": null })),
            line(&json!({ "target": "elsewhere" })),
            "a panic".to_owned(),
        ] {
            labels.take(text.as_bytes(), 3, &mut left);
        }
        assert_eq!(labels.0.values().map(Vec::len).collect::<Vec<_>>(), [1]);
        let expected = [(Why::Malformed, 1), (Why::Repeated, 1), (Why::UnknownClass, 1)];
        assert_eq!(left.labels, expected.into());
    }
}
