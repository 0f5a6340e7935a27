//! [`Spans`]: each request as a span of a distributed trace, for a collector of OpenTelemetry. Off unless one is
//! named. No request waits for it: what the collector does not take in time is dropped and counted.
//!
//! A span tells what the log tells, and no more: the route, never the path.

pub mod exporter;
mod message;
pub mod sampler;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use poem::http::StatusCode;
use prometheus::IntCounter;
use protocol::problem::Code;
use protocol::trace::{SpanId, TraceId, TraceParent};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use self::exporter::{Collector, Message};
use self::message::Resource;
use self::sampler::Sampler;
use super::metrics;
use crate::answer::Timings;
use crate::api::routes;
use crate::envelope::Exchange;
use crate::identity::Identity;

/// Requests that may wait for the collector: a megabyte.
const WAITING: usize = 2048;
/// How long the end of the service waits before it asks again whether there is room in the queue.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
pub struct Options {
    pub collector: Collector,
    pub sampler: Sampler,
    /// Name of the service among others.
    pub service: String,
    /// What else is told of it.
    pub attributes: Vec<(String, String)>,
}

/// A request's own span, which is told when it is over.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub sampled: bool,
}

impl Started {
    /// For whoever asked, as `traceparent` has it.
    pub fn told(&self) -> TraceParent {
        TraceParent { trace: self.trace, span: self.id, sampled: self.sampled }
    }
}

/// A request that is over, as its spans tell it.
#[derive(Debug)]
struct Finished {
    span: Started,
    ended: SystemTime,
    elapsed: Duration,
    request_id: Box<str>,
    method: &'static str,
    route: &'static str,
    status: StatusCode,
    refused: Option<Code>,
    answered: Option<Answered>,
}

#[derive(Debug)]
struct Answered {
    timings: Timings,
    images: usize,
    batch: usize,
}

impl Finished {
    /// The request's own, and one for each part of the answer.
    fn spans(&self) -> usize {
        1 + self.answered.as_ref().map_or(0, |_| message::PARTS.len())
    }
}

pub struct Spans {
    sampler: Sampler,
    random: SystemRandom,
    sender: SyncSender<Message>,
    dropped: IntCounter,
}

impl Spans {
    /// `dropped` counts spans that were not taken.
    pub fn start(options: &Options, identity: &Identity, dropped: IntCounter) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let (collector, lost) = (options.collector.clone(), dropped.clone());
        let resource = Arc::new(Resource::new(options, identity));
        let work = move || exporter::export(&receiver, &collector, &resource, &lost);
        std::thread::Builder::new().name("spans".to_owned()).spawn(work)?;
        Ok(Self { sampler: options.sampler, random: SystemRandom::new(), sender, dropped })
    }

    /// Goes on with the caller's trace, or begins one.
    pub fn begin(&self, parent: Option<TraceParent>) -> Option<Started> {
        let mut random = [0; 24];
        self.random.fill(&mut random).ok()?;
        let (trace, id) = random.split_first_chunk::<16>()?;
        let trace = parent.map_or(TraceId(u128::from_ne_bytes(*trace)), |parent| parent.trace);
        Some(Started {
            trace,
            id: SpanId(u64::from_ne_bytes(*id.first_chunk()?)),
            parent: parent.map(|parent| parent.span),
            sampled: self.sampler.samples(trace, parent),
        })
    }

    pub fn observe(&self, exchange: &Exchange<'_>) {
        let Some(span) = exchange.span.filter(|span| span.sampled) else { return };
        let answered = exchange.answer.map(|answer| Answered {
            timings: answer.timings,
            images: answer.predictions.len(),
            batch: answer.batch,
        });
        let finished = Box::new(Finished {
            span,
            ended: SystemTime::now(),
            elapsed: exchange.elapsed,
            request_id: exchange.request_id.into(),
            method: metrics::method(exchange.method),
            route: routes::label(exchange.route),
            status: exchange.status,
            refused: exchange.refused,
            answered,
        });
        let spans = finished.spans();
        if self.sender.try_send(Message::Finished(finished)).is_err() {
            self.dropped.inc_by(spans as u64);
        }
    }

    /// What was observed before is with the collector when this returns, or lost.
    pub async fn flush(&self, until: Instant) {
        let (done, flushed) = oneshot::channel();
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(message) {
            if Instant::now() >= until {
                break;
            }
            message = back;
            sleep(FLUSH_PAUSE).await;
        }
        if !matches!(timeout_at(until, flushed).await, Ok(Ok(()))) {
            tracing::warn!("spans were lost: no collector took them before the end");
        }
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("sampler", &self.sampler).finish_non_exhaustive()
    }
}
