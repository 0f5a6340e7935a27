//! [`FeedbackDesk`]: gives out receipts with answers, and takes them back with the true label.
//!
//! Off without a key: then no answer has a receipt, and none is taken.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use contract::manifest::{Manifest, ModelVersion};
use contract::prediction::{Label, Prediction};
use poem::http::header::CONTENT_TYPE;
use poem::{Body, Request};
use protocol::content::MediaType;
use protocol::feedback::{About, Feedback};
use protocol::problem::{Code, Refusal};
use protocol::receipt::{Keys, Receipt, Seal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::body::Bodies;
use crate::reload::{Reloaded, Source};
use crate::telemetry::metrics::Metrics;

/// A receipt and its envelope, many times over.
const BODY_LIMIT: usize = 8 << 10;

/// Receipts that are remembered at least, and half of those remembered at most: a few megabytes.
const REMEMBERED: usize = 1 << 15;

#[derive(Debug)]
pub struct FeedbackDesk {
    keys: Option<Arc<Reloaded<Keys, 1>>>,
    model_version: ModelVersion,
    classes: usize,
    bodies: Bodies,
    counted: Mutex<Counted>,
}

/// Feedback, and whether it is the first with its receipt.
#[derive(Debug, Clone)]
pub struct Taken {
    pub feedback: Feedback,
    pub counted: bool,
}

impl FeedbackDesk {
    pub fn new(keys: Option<Arc<Reloaded<Keys, 1>>>, manifest: &Manifest) -> Self {
        Self {
            keys,
            model_version: manifest.model_version.clone(),
            classes: manifest.task.classes.len(),
            bodies: Bodies::new(BODY_LIMIT),
            counted: Mutex::default(),
        }
    }

    pub fn follow(&self, metrics: &Metrics, followers: &mut JoinSet<()>) {
        if let Some(keys) = &self.keys {
            followers.spawn(Arc::clone(keys).follow(metrics.reloaded(Source::FeedbackKeys)));
        }
    }

    pub fn is_open(&self) -> bool {
        self.keys.is_some()
    }

    /// For the image at that place of the request.
    pub fn receipt(&self, request_id: &str, image: usize, label: Label) -> Option<String> {
        let receipt = || Receipt {
            request_id: request_id.into(),
            image,
            label,
            model_version: Cow::Borrowed(&self.model_version),
            issued: now(),
        };
        self.keys.as_ref().map(|keys| keys.get().seal(&receipt()))
    }

    /// For every image of a request, separated by spaces, of which no receipt has any.
    pub fn receipts(&self, request_id: &str, predictions: &[Prediction]) -> Option<String> {
        let receipt = |(image, prediction): (usize, &Prediction)| {
            self.receipt(request_id, image, prediction.label)
        };
        let receipts: Option<Vec<_>> = predictions.iter().enumerate().map(receipt).collect();
        receipts.map(|receipts| receipts.join(" "))
    }

    pub async fn take(
        &self,
        request: &Request,
        body: Body,
        deadline: Instant,
    ) -> Result<Taken, Refusal> {
        let Some(keys) = &self.keys else {
            return Err(Refusal::new(Code::FeedbackOff, "this service was given no key for it"));
        };
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if MediaType::parse(kind)? != MediaType::Json {
            return Err(MediaType::unsupported(kind));
        }
        let (bytes, _held) = self.bodies.read(request, body, deadline).await?;
        let Self { model_version, classes, .. } = self;
        let about = About { model_version, classes: *classes, now: now() };
        let feedback = Feedback::read(&bytes, &keys.get(), about)?;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counted.is_first(feedback.seal);
        Ok(Taken { feedback, counted })
    }
}

/// The receipts that came back last. Older ones may count again, as may those that came to another replica, or to
/// this one before it was restarted: nothing is shared, and memory is bounded.
#[derive(Debug, Default)]
struct Counted {
    lately: HashSet<Seal>,
    before: HashSet<Seal>,
}

impl Counted {
    fn is_first(&mut self, seal: Seal) -> bool {
        if self.before.contains(&seal) || !self.lately.insert(seal) {
            return false;
        }
        if self.lately.len() == REMEMBERED {
            self.before = std::mem::take(&mut self.lately);
        }
        true
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_remembered_for_as_many_others_and_the_memory_has_an_end() {
        let seal = |number: usize| {
            let mut seal = [0; 32];
            seal[..8].copy_from_slice(&number.to_le_bytes());
            seal
        };
        let mut counted = Counted::default();
        for number in 0..5 * REMEMBERED {
            assert!(counted.is_first(seal(number)));
            assert!(!counted.is_first(seal(number.saturating_sub(REMEMBERED - 1))));
            assert!(counted.lately.len() + counted.before.len() <= 2 * REMEMBERED);
        }
    }
}
