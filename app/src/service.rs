//! [`Service`]: what every operation works with, assembled once.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use contract::features::Features;
use contract::image::Image;
use contract::manifest::Manifest;
use contract::prediction::{Prediction, Scores};
use poem::Request;
use prometheus::IntCounter;
use protocol::problem::{Code, Refusal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::access::Access;
use crate::answer::{Answer, Timings};
use crate::api::feedback::FeedbackDesk;
use crate::api::intake::{Input, Intake};
use crate::config::Config;
use crate::connections::tls::Tls;
use crate::engine::{Engine, EngineError};
use crate::identity::Identity;
use crate::lifecycle::Readiness;
use crate::reload::Source;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::records::Records;
use crate::telemetry::spans::Spans;

const WARM_UP_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Service {
    pub identity: Identity,
    pub engine: Engine,
    pub intake: Intake,
    pub feedback: FeedbackDesk,
    pub readiness: Readiness,
    pub metrics: Metrics,
    pub records: Option<Records>,
    pub spans: Option<Spans>,
    pub access: Arc<Access>,
}

impl Service {
    /// What [`Service::unready`] looks at.
    pub const CHECKS: [&'static str; 4] =
        ["model is warm", "not shutting down", "engine runs", "model does not keep failing"];

    /// One computation at a time per classifier.
    pub fn start<E, C>(
        config: &Config,
        manifest: Manifest,
        classifiers: impl IntoIterator<Item = C>,
        log_dropped: IntCounter,
    ) -> io::Result<Self>
    where
        E: Display,
        C: FnMut(&[Image]) -> Result<Vec<Scores>, E> + Send + 'static,
    {
        let Config { engine: options, body_limit, request_timeout, .. } = *config;
        let task = manifest.task.clone();
        let feedback = FeedbackDesk::new(config.feedback_keys.clone(), &manifest);
        let identity = Identity::new(config.app_version.clone(), config.revision.clone(), manifest);
        let metrics = Metrics::new(&identity, config.drift_window, log_dropped);
        let batches = metrics.batches();
        let engine = Engine::start(options, classifiers, move |batch| batches.observe(batch))?;
        let intake =
            Intake::new(task, body_limit, options.max_batch, options.depth, request_timeout);
        let records = config.records.as_ref();
        let records = records.map(|options| Records::open(options, metrics.records_dropped()));
        let records = records.transpose()?;
        let spans = config.spans.as_ref();
        let spans = spans.map(|options| Spans::start(options, &identity, metrics.spans_dropped()));
        let spans = spans.transpose()?;
        let access = Arc::clone(&config.switches.access);
        let readiness = Readiness::default();
        Ok(Self { identity, engine, intake, feedback, readiness, metrics, records, spans, access })
    }

    /// Has what is made of files made anew when they change, for as long as the set lives.
    pub fn follow(&self, tls: Option<&Tls>) -> JoinSet<()> {
        let mut followers = JoinSet::new();
        self.access.follow(&self.metrics, &mut followers);
        self.feedback.follow(&self.metrics, &mut followers);
        if let Some(tls) = tls {
            followers.spawn(tls.follow(self.metrics.reloaded(Source::Certificate)));
        }
        followers
    }

    /// Computes once what the first requests would otherwise wait for. Ready from then on.
    pub async fn warm_up(&self) -> anyhow::Result<()> {
        let shape = self.identity.manifest.task.input;
        let blank = Image::new(shape, vec![0; shape.len()]).expect("as many pixels as asked for");
        for images in [1, 1, 2] {
            let deadline = Instant::now() + WARM_UP_LIMIT;
            let computed = self.engine.classify(vec![blank.clone(); images], deadline).await;
            computed.context("the model failed on a blank picture")?;
        }
        self.readiness.set_warm();
        Ok(())
    }

    /// The service that the envelope put into every request.
    pub fn of(request: &Request) -> &Arc<Self> {
        request.data().expect("the envelope is around every endpoint")
    }

    pub async fn answer(&self, input: Input) -> Result<Answer, Refusal> {
        let Input { images, deadline, read, decode } = input;
        let kept = if self.records.is_some() { images.clone() } else { Vec::new() };
        let features = images.iter().map(Features::of).collect();
        let computed =
            self.engine.classify(images, deadline).await.map_err(|error| refusal(&error))?;
        Ok(Answer {
            predictions: computed.scores.into_iter().map(Prediction::from).collect(),
            images: kept,
            features,
            timings: Timings { read, decode, queue: computed.queue, infer: computed.infer },
            batch: computed.batch,
        })
    }

    /// Why nothing should be sent here; nothing when ready.
    pub fn unready(&self) -> Option<&'static str> {
        if !self.readiness.is_warm() {
            Some("the model is warming up")
        } else if self.readiness.is_draining() {
            Some("the service is shutting down")
        } else if !self.engine.is_alive() {
            Some("the engine has ended")
        } else if self.engine.is_broken() {
            Some("the model keeps failing")
        } else {
            None
        }
    }
}

fn refusal(error: &EngineError) -> Refusal {
    match error {
        EngineError::Full => Refusal::new(Code::Overloaded, "the queue is full; try again shortly"),
        EngineError::Closed => Refusal::new(Code::Unavailable, "the service is shutting down"),
        EngineError::Broken => {
            Refusal::new(Code::Unavailable, "the model keeps failing; try again shortly")
        }
        EngineError::Late => {
            Refusal::new(Code::DeadlineExceeded, "the model had no time left for this request")
        }
        // The reason is in the log.
        EngineError::Failed(_) => Refusal::new(Code::Internal, "the model failed on this request"),
    }
}
