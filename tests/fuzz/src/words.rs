//! What comes back from callers: the trace they belong to, receipts, and feedback.

use std::borrow::Cow;

use contract::digest::Digest;
use contract::manifest::ModelVersion;
use protocol::content::MediaType;
use protocol::feedback::{About, Feedback};
use protocol::receipt::{Keys, Receipt};
use protocol::trace::TraceParent;

use crate::{TEXT, Target, well_refused};

pub const TRACEPARENT: Target =
    Target { name: "traceparent", seeds: trace_seeds, run: read_trace, memory: TEXT };
pub const RECEIPT: Target =
    Target { name: "receipt", seeds: receipt_seeds, run: read_receipt, memory: TEXT };
pub const FEEDBACK: Target =
    Target { name: "feedback", seeds: feedback_seeds, run: read_feedback, memory: TEXT };

const ISSUED: u64 = 1_764_000_000_000;
const CLASSES: usize = 3;

/// A header's value, as a trace and as a media type.
fn read_trace(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some(parent) = TraceParent::parse(text) {
        assert!(
            text.contains(&parent.trace.to_string()) && text.contains(&parent.span.to_string())
        );
        assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
    }
    if let Err(refusal) = MediaType::parse(Some(text)) {
        well_refused(&refusal);
    }
}

/// Nothing but what was sealed opens, and it has no second spelling: receipts are counted once.
fn read_receipt(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some((receipt, _)) = keys().open(text) {
        assert_eq!(keys().seal(&receipt), text);
        assert!([sealed("weights", "r"), sealed("others", "é")].iter().any(|known| known == text));
    }
}

fn read_feedback(input: &[u8]) {
    let model_version = version("weights");
    let about = About { model_version: &model_version, classes: CLASSES, now: ISSUED + 1 };
    match Feedback::read(input, &keys(), about) {
        Ok(feedback) => {
            assert!(feedback.truth < CLASSES);
            assert_eq!(*feedback.receipt.model_version, model_version);
        }
        Err(refusal) => well_refused(&refusal),
    }
}

fn keys() -> Keys {
    Keys::parse("0123456789abcdef0123456789abcdef").expect("a long key")
}

fn version(weights: &str) -> ModelVersion {
    ModelVersion::of(&Digest::of(weights.as_bytes()))
}

fn sealed(weights: &str, request_id: &str) -> String {
    keys().seal(&Receipt {
        request_id: request_id.into(),
        image: 0,
        label: 2,
        model_version: Cow::Owned(version(weights)),
        issued: ISSUED,
    })
}

fn trace_seeds() -> Vec<Vec<u8>> {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let texts = [format!("00-{trace}"), format!(" 01-{trace}-more"), format!("ff-{trace}")];
    let long = "long".repeat(4000);
    let kinds = ["application/json; charset=utf-8", "image/png", &long].map(str::to_owned);
    texts.into_iter().chain(kinds).map(String::into_bytes).collect()
}

fn receipt_seeds() -> Vec<Vec<u8>> {
    [sealed("weights", "r"), sealed("others", "é")].map(String::into_bytes).into()
}

fn feedback_seeds() -> Vec<Vec<u8>> {
    let body = |receipt, label| serde_json::json!({ "receipt": receipt, "label": label });
    let bodies = [
        body(sealed("weights", "r"), 1),
        body(sealed("others", "é"), 1),
        body(sealed("weights", "r"), 99),
        body("AAAA".to_owned(), 0),
    ];
    bodies.map(|body| body.to_string().into_bytes()).into()
}
