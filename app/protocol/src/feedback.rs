//! [`Feedback`]: what a caller says a picture really was, held against the [`Receipt`] of its answer.

use std::time::Duration;

use contract::manifest::ModelVersion;
use contract::prediction::Label;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::{Code, Refusal};
use crate::receipt::{Keys, Receipt, Seal};

/// Long enough for people who label tomorrow, short enough that a counter is about the present.
pub const MAX_AGE: Duration = Duration::from_hours(7 * 24);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    receipt: String,
    label: Label,
}

/// The model that feedback is taken about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub model_version: &'a ModelVersion,
    pub classes: usize,
    /// The present, in milliseconds since 1970.
    pub now: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    pub receipt: Receipt<'static>,
    pub seal: Seal,
    /// The true class, as the caller says.
    pub truth: Label,
}

/// Body of an answer to feedback.
#[derive(Debug, Serialize)]
pub struct Thanks<'a> {
    /// Whether the prediction was right.
    pub correct: bool,
    /// False where this receipt was counted before.
    pub counted: bool,
    pub model_version: &'a ModelVersion,
    pub request_id: &'a str,
}

impl Feedback {
    pub fn is_correct(&self) -> bool {
        self.receipt.label == self.truth
    }

    /// Reads `{"receipt": …, "label": …}`.
    pub fn read(body: &[u8], keys: &Keys, about: About<'_>) -> Result<Self, Refusal> {
        // By way of an object, or an array of both would pass for one.
        let body = serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|object| Body::deserialize(Value::Object(object)));
        let Body { receipt, label } = body.map_err(|error| {
            if error.is_data() {
                let expected = "expected an object of `receipt`, the text that came with the answer, and \
                                `label`, the index of the true class, and nothing else";
                Refusal::new(Code::InvalidFeedback, expected)
            } else {
                Refusal::new(Code::MalformedJson, format!("not JSON: {error}"))
            }
        })?;
        let at = |code, field: &str, detail| Err(Refusal::at(code, field.to_owned(), detail));
        let Some((receipt, seal)) = keys.open(&receipt) else {
            let detail = "no answer of this service came with this receipt".to_owned();
            return at(Code::InvalidReceipt, "/receipt", detail);
        };
        if *receipt.model_version != *about.model_version {
            let (then, now) = (&receipt.model_version, about.model_version);
            let detail = format!("the receipt is of model {then}, and {now} is served here");
            return at(Code::OtherModel, "/receipt", detail);
        }
        let age = Duration::from_millis(about.now.saturating_sub(receipt.issued));
        if age > MAX_AGE {
            let detail = format!("receipts are taken for {} days", MAX_AGE.as_secs() / 86400);
            return at(Code::ExpiredReceipt, "/receipt", detail);
        }
        if label >= about.classes {
            let detail = format!("expected a class from 0 to {}, found {label}", about.classes - 1);
            return at(Code::UnknownLabel, "/label", detail);
        }
        Ok(Self { receipt, seal, truth: label })
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use contract::digest::Digest;
    use serde_json::json;

    use super::*;

    const ISSUED: u64 = 1_764_000_000_000;

    fn read(body: &Value, late: Duration) -> Result<Feedback, Refusal> {
        let version = ModelVersion::of(&Digest::of(b"weights"));
        let now = ISSUED + u64::try_from(late.as_millis()).unwrap();
        let about = About { model_version: &version, classes: 3, now };
        Feedback::read(body.to_string().as_bytes(), &keys(), about)
    }

    fn keys() -> Keys {
        Keys::parse("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn receipt(weights: &str) -> String {
        keys().seal(&Receipt {
            request_id: "r".into(),
            image: 0,
            label: 2,
            model_version: Cow::Owned(ModelVersion::of(&Digest::of(weights.as_bytes()))),
            issued: ISSUED,
        })
    }

    #[test]
    fn feedback_is_right_where_caller_and_model_agree() {
        let check = |label, correct| {
            let body = json!({ "receipt": receipt("weights"), "label": label });
            let feedback = read(&body, Duration::ZERO).unwrap();
            assert_eq!((feedback.is_correct(), feedback.truth), (correct, label));
        };
        check(2, true);
        check(0, false);
    }

    #[test]
    fn what_cannot_be_counted_is_refused_by_its_reason() {
        let check = |body: Value, late, code| assert_eq!(read(&body, late).unwrap_err().code, code);
        let good = receipt("weights");
        let body = |receipt: &str, label: usize| json!({ "receipt": receipt, "label": label });
        check(body(&good[1..], 2), Duration::ZERO, Code::InvalidReceipt);
        check(body(&receipt("others"), 2), Duration::ZERO, Code::OtherModel);
        check(body(&good, 3), Duration::ZERO, Code::UnknownLabel);
        check(body(&good, 2), MAX_AGE + Duration::from_secs(1), Code::ExpiredReceipt);
        read(&body(&good, 2), MAX_AGE).unwrap();
        for wrong in [
            json!({}),
            json!([good, 2]),
            json!({ "receipt": good }),
            json!({ "receipt": good, "label": "2" }),
            json!({ "receipt": good, "label": -1 }),
            json!({ "receipt": good, "label": 2, "more": 1 }),
        ] {
            check(wrong, Duration::ZERO, Code::InvalidFeedback);
        }
    }
}
