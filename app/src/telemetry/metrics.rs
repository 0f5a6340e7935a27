//! [`Metrics`]: every metric's name, labels and buckets, and nowhere else.
//!
//! Labels come from closed sets, so the number of series does not depend on who calls.

use poem::Response;
use poem::http::Method;
use prometheus::core::Collector;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use protocol::problem::Code;

use crate::answer::Timings;
use crate::api::feedback::Taken;
use crate::api::routes::{self, Route};
use crate::engine::{Batch, Engine, Released};
use crate::envelope::Exchange;
use crate::identity::Identity;
use crate::reload::Source;
use crate::telemetry::drift::Drift;

/// From a hundred microseconds, one forward pass, to ten seconds, past every deadline.
const SECONDS: [f64; 14] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
const IMAGES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const SHARES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99];

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    active: IntGauge,
    /// As [`Timings::stages`] lists them.
    stages: Vec<Histogram>,
    ok: IntCounter,
    outcomes: IntCounterVec,
    rejected: IntCounterVec,
    /// By label.
    classes: Vec<IntCounter>,
    confidence: Histogram,
    /// By predicted label: what turned out wrong, and right.
    feedback: Vec<[IntCounter; 2]>,
    batches: Batches,
    queue_depth: IntGauge,
    drift: Drift,
    records_dropped: IntCounter,
    spans_dropped: IntCounter,
    breaker: IntGauge,
    given_up: GivenUp,
    reloaded: IntGaugeVec,
}

/// Connections that were closed because of their callers, by what these did not do in time.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// Agree on TLS.
    pub handshake: IntCounter,
    /// End a head that was begun.
    pub head: IntCounter,
    /// Read their answer.
    pub answer: IntCounter,
}

impl GivenUp {
    fn registered(registry: &Registry) -> Self {
        let opts = Opts::new(
            "http_server_connections_given_up_total",
            "Connections closed on callers who took too long, by what for",
        );
        let counters = register(registry, IntCounterVec::new(opts, &["reason"]));
        let of = |reason| counters.with_label_values(&[reason]);
        Self { handshake: of("handshake"), head: of("head"), answer: of("answer") }
    }
}

/// What the engine counts.
#[derive(Debug, Clone)]
pub struct Batches {
    size: Histogram,
    full: IntCounter,
    drained: IntCounter,
    delay: IntCounter,
}

impl Batches {
    pub fn observe(&self, batch: Batch) {
        self.size.observe(batch.images as f64);
        match batch.released {
            Released::Full => &self.full,
            Released::Drained => &self.drained,
            Released::Delay => &self.delay,
        }
        .inc();
    }
}

impl Metrics {
    /// `log_dropped` counts log lines that nobody read in time; the log itself cannot tell of them.
    pub fn new(identity: &Identity, drift_window: usize, log_dropped: IntCounter) -> Self {
        let task = &identity.manifest.task;
        let registry = Registry::new();
        let of_model = |name: &str, help: &str| {
            Opts::new(name, help)
                .const_label("model_name", &task.name)
                .const_label("model_version", identity.model_version())
        };
        let requests = Opts::new(
            "http_server_request_duration_seconds",
            "From a request's head to its answer",
        );
        let stages = of_model("inference_stage_duration_seconds", "Parts of a prediction's time");
        let outcomes = of_model("inference_requests_total", "Predictions asked for, by outcome");
        let rejected = Opts::new("inference_rejected_total", "Predictions refused for capacity");
        let classes = of_model("prediction_class_total", "Images by predicted class");
        let confidence = of_model("prediction_confidence", "Probability of the predicted class");
        let records_dropped = Opts::new(
            "prediction_log_dropped_total",
            "Records of predictions that could not be written, or not in time",
        );
        let spans_dropped =
            Opts::new("spans_dropped_total", "Spans that no collector took, or not in time");
        let accuracy = of_model(
            "model_accuracy",
            "Share of the test set that the model got right in training",
        );
        let drift = of_model("drift_score", "Distance of the newest predictions from the baseline");
        let window = of_model("drift_window_images", "Images that the distance is measured on");
        let feedback = of_model(
            "prediction_feedback_total",
            "Labels that callers sent back, by predicted class and whether that was right",
        );
        let size = Opts::new("inference_batch_size", "Images computed together");
        let released = Opts::new("inference_batch_released_total", "Batches by why they started");
        let active = Opts::new("http_server_active_requests", "Requests being answered");
        let queue_depth = Opts::new("inference_queue_depth", "Images waiting for the model");
        let breaker = Opts::new(
            "inference_breaker_open",
            "1 while requests are refused because the model fails",
        );
        let by_request = ["http_request_method", "http_route", "http_response_status_code"];
        // What every prediction counts is looked up here, once, and so starts at zero: a rate over a
        // counter that appears with its first event misses that event.
        let stages = register(&registry, histograms(stages, &SECONDS, &["stage"]));
        let outcomes = register(&registry, IntCounterVec::new(outcomes, &["outcome"]));
        let rejected = register(&registry, IntCounterVec::new(rejected, &["reason"]));
        for code in REJECTIONS {
            rejected.with_label_values(&[code.as_str()]);
        }
        let classes = register(&registry, IntCounterVec::new(classes, &["class"]));
        let feedback = register(&registry, IntCounterVec::new(feedback, &["class", "correct"]));
        let by_correctness =
            |class: &String| ["false", "true"].map(|is| feedback.with_label_values(&[class, is]));
        let released = register(&registry, IntCounterVec::new(released, &["reason"]));
        let metrics = Self {
            requests: register(&registry, histograms(requests, &SECONDS, &by_request)),
            active: register(&registry, IntGauge::with_opts(active)),
            stages: Timings::STAGES.map(|stage| stages.with_label_values(&[stage])).into(),
            ok: outcomes.with_label_values(&["ok"]),
            outcomes,
            rejected,
            classes: task.classes.iter().map(|class| classes.with_label_values(&[class])).collect(),
            confidence: register(&registry, histogram(confidence, &SHARES)),
            feedback: task.classes.iter().map(by_correctness).collect(),
            batches: Batches {
                size: register(&registry, histogram(size, &IMAGES)),
                full: released.with_label_values(&["full"]),
                drained: released.with_label_values(&["drained"]),
                delay: released.with_label_values(&["delay"]),
            },
            queue_depth: register(&registry, IntGauge::with_opts(queue_depth)),
            records_dropped: register(&registry, IntCounter::with_opts(records_dropped)),
            spans_dropped: register(&registry, IntCounter::with_opts(spans_dropped)),
            drift: Drift::new(
                identity.manifest.baseline.clone(),
                drift_window,
                register(&registry, GaugeVec::new(drift, &["signal", "statistic"])),
                register(&registry, IntGauge::with_opts(window)),
            ),
            breaker: register(&registry, IntGauge::with_opts(breaker)),
            given_up: GivenUp::registered(&registry),
            reloaded: reloaded(&registry),
            registry,
        };
        register(&metrics.registry, build_info(identity)).set(1);
        let accuracy = register(&metrics.registry, Gauge::with_opts(accuracy));
        accuracy.set(identity.manifest.metrics.accuracy);
        register(&metrics.registry, Ok(log_dropped));
        #[cfg(target_os = "linux")]
        metrics
            .registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("names are its own");
        metrics
    }

    /// Counts a request as being answered until the guard is dropped, however that happens.
    pub fn active(&self) -> Active {
        self.active.inc();
        Active(self.active.clone())
    }

    pub fn records_dropped(&self) -> IntCounter {
        self.records_dropped.clone()
    }

    pub fn spans_dropped(&self) -> IntCounter {
        self.spans_dropped.clone()
    }

    pub fn given_up(&self) -> GivenUp {
        self.given_up.clone()
    }

    /// 1 while what the source has is what is used.
    pub fn reloaded(&self, source: Source) -> IntGauge {
        self.reloaded.with_label_values(&[source.as_str()])
    }

    pub fn batches(&self) -> Batches {
        self.batches.clone()
    }

    pub fn observe(&self, exchange: &Exchange<'_>) {
        let route = routes::label(exchange.route);
        let status = exchange.status.as_str();
        let labels = [method(exchange.method), route, status];
        self.requests.with_label_values(&labels).observe(exchange.elapsed.as_secs_f64());
        if let Some(Taken { feedback, counted: true }) = exchange.feedback
            && let Some(counters) = self.feedback.get(feedback.receipt.label)
        {
            counters[usize::from(feedback.is_correct())].inc();
        }
        if !exchange.route.is_some_and(Route::predicts) {
            return;
        }
        match exchange.refused {
            None => self.ok.inc(),
            Some(code) => {
                self.outcomes.with_label_values(&[code.as_str()]).inc();
                if REJECTIONS.contains(&code) {
                    self.rejected.with_label_values(&[code.as_str()]).inc();
                }
            }
        }
        if let Some(answer) = exchange.answer {
            self.drift.observe(answer);
            for (stage, time) in self.stages.iter().zip(answer.timings.stages()) {
                stage.observe(time.as_secs_f64());
            }
            for prediction in &answer.predictions {
                if let Some(class) = self.classes.get(prediction.label) {
                    class.inc();
                }
                self.confidence.observe(prediction.confidence.into());
            }
        }
    }

    /// Everything in the text format of Prometheus.
    pub fn page(&self, engine: &Engine) -> Response {
        self.queue_depth.set(i64::try_from(engine.waiting()).unwrap_or(i64::MAX));
        self.breaker.set(engine.is_broken().into());
        self.drift.gauge();
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        if let Err(error) = encoder.encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        Response::builder().content_type(encoder.format_type()).body(text)
    }
}

fn reloaded(registry: &Registry) -> IntGaugeVec {
    let opts = Opts::new(
        "config_last_reload_successful",
        "0 while a file or an address has what cannot be used, and what it had before is",
    );
    let gauges = register(registry, IntGaugeVec::new(opts, &["source"]));
    for source in Source::ALL {
        gauges.with_label_values(&[source.as_str()]).set(1);
    }
    gauges
}

pub struct Active(IntGauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The codes that say that there is too little of us.
const REJECTIONS: [Code; 3] = [Code::Overloaded, Code::Unavailable, Code::DeadlineExceeded];

fn build_info(identity: &Identity) -> prometheus::Result<IntGauge> {
    IntGauge::with_opts(
        Opts::new("build_info", "What is running; always 1")
            .const_label("version", &identity.app_version)
            .const_label("revision", &identity.revision)
            .const_label("model_version", identity.model_version())
            .const_label("model_digest", identity.manifest.model_digest.to_string()),
    )
}

fn histogram(opts: Opts, buckets: &[f64]) -> prometheus::Result<Histogram> {
    Histogram::with_opts(HistogramOpts { common_opts: opts, buckets: buckets.to_vec() })
}

fn histograms(opts: Opts, buckets: &[f64], labels: &[&str]) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(HistogramOpts { common_opts: opts, buckets: buckets.to_vec() }, labels)
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect("names and labels are valid");
    registry.register(Box::new(collector.clone())).expect("every name is used once");
    collector
}

/// Callers may invent methods; the semantic conventions call those `_OTHER`.
pub(super) fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "_OTHER",
    }
}
