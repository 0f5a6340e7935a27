//! The thread that brings spans to the [`Collector`], many at a time. What it does not take is dropped and counted,
//! not tried again: the queue behind it has an end, and the next spans are worth as much.

use std::fmt;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prometheus::IntCounter;
use prost::Message as _;
use tokio::sync::oneshot;

use super::Finished;
use super::message::Resource;
use crate::outgoing;

/// Requests that are told together.
const BATCH: usize = 512;
/// How long a request may wait for others to be told with.
const GATHERING: Duration = Duration::from_secs(1);
/// The protocol's default.
const LIMIT: Duration = Duration::from_secs(10);
/// What a collector answers is short.
const LONGEST_ANSWER: u64 = 64 << 10;

pub(super) enum Message {
    Finished(Box<Finished>),
    Flush(oneshot::Sender<()>),
}

/// Where spans go, by OTLP over HTTP with protobuf in it.
#[derive(Clone)]
pub struct Collector {
    url: String,
    headers: Vec<(String, String)>,
    agent: ureq::Agent,
}

impl fmt::Debug for Collector {
    /// Headers hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Collector {
    pub fn new(url: String, headers: Vec<(String, String)>) -> Self {
        let agent = outgoing::agent(LIMIT);
        Self { url, headers, agent }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many spans it did not take of those that it was sent.
    fn send(&self, message: &[u8]) -> Result<u64, ureq::Error> {
        let post = self.agent.post(&self.url).header("content-type", "application/x-protobuf");
        let headers = self.headers.iter();
        let post = headers.fold(post, |post, (name, value)| post.header(name, value));
        let mut answer = post.send(message)?;
        let answer = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec()?;
        let answer = ExportTraceServiceResponse::decode(answer.as_slice()).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

/// Until nobody sends any more.
pub(super) fn export(
    receiver: &Receiver<Message>,
    collector: &Collector,
    resource: &Resource,
    dropped: &IntCounter,
) {
    let mut is_away = false;
    while let Ok(first) = receiver.recv() {
        let (requests, flushes) = gather(receiver, first);
        if !requests.is_empty() {
            let message = resource.message(&requests).encode_to_vec();
            let sent = collector.send(&message);
            // Told when it changes: a collector that is away is away for many batches.
            match &sent {
                Ok(_) if is_away => tracing::info!("the collector takes spans again"),
                Err(error) if !is_away => {
                    tracing::warn!(url = collector.url, %error, "the collector takes no spans");
                }
                _ => {}
            }
            is_away = sent.is_err();
            let all = || requests.iter().map(|request| request.spans() as u64).sum();
            dropped.inc_by(sent.unwrap_or_else(|_told| all()));
        }
        for flush in flushes {
            // Whoever waited may have given up.
            flush.send(()).unwrap_or_default();
        }
    }
}

/// Waits for more, but not if somebody waits for these.
fn gather(
    receiver: &Receiver<Message>,
    first: Message,
) -> (Vec<Finished>, Vec<oneshot::Sender<()>>) {
    let until = Instant::now() + GATHERING;
    let (mut requests, mut flushes) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Finished(request) => requests.push(*request),
            Message::Flush(done) => flushes.push(done),
        }
        if requests.len() >= BATCH || !flushes.is_empty() {
            break;
        }
        let left = until.saturating_duration_since(Instant::now());
        next = receiver.recv_timeout(left).ok();
    }
    (requests, flushes)
}
