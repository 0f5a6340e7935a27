//! [`Metrics`]: every metric's name and labels, and nowhere else. Labels come from closed sets, so the number
//! of series does not depend on who calls.

use poem::Response;
use prometheus::core::Collector;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::outcome::Outcome;
use crate::problem::Problem;
use crate::spool::Spool;

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) received: IntCounter,
    pub(crate) repeated: IntCounter,
    refused: IntCounterVec,
    handled: IntCounterVec,
    pub(crate) retries: IntCounter,
    waiting: IntGauge,
    oldest: Gauge,
    pub(crate) last_duration: Gauge,
    pub(crate) pages_waiting: IntGauge,
    pub(crate) page_failures: IntCounter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let all = Registry::new();
        let counter = |name: &str, help: &str| register(&all, IntCounter::new(name, help));
        let counters = |name: &str, help: &str, label: &str| {
            register(&all, IntCounterVec::new(Opts::new(name, help), &[label]))
        };
        let count = |name: &str, help: &str| register(&all, IntGauge::new(name, help));
        let seconds = |name: &str, help: &str| register(&all, Gauge::new(name, help));
        let metrics = Self {
            received: counter(
                "gitops_listen_received_total",
                "Reports that were put into the spool",
            ),
            repeated: counter("gitops_listen_repeated_total", "Reports that waited there already"),
            refused: counters("gitops_listen_refused_total", "Requests refused, by why", "reason"),
            handled: counters(
                "gitops_listen_handled_total",
                "Reports handled, by what came of it",
                "outcome",
            ),
            retries: counter("gitops_listen_retries_total", "Runs that were tried again"),
            waiting: count("gitops_listen_waiting", "Reports in the spool, running ones included"),
            oldest: seconds("gitops_listen_oldest_seconds", "Age of the oldest of them"),
            last_duration: seconds("gitops_listen_last_run_seconds", "How long the last run took"),
            pages_waiting: count("gitops_listen_pages_waiting", "Pages that nobody has taken yet"),
            page_failures: counter("gitops_listen_page_failures_total", "Pages not taken"),
            registry: all.clone(),
        };
        #[cfg(target_os = "linux")]
        all.register(Box::new(ProcessCollector::for_self())).expect("names are its own");
        // A rate over a counter that appears with its first event misses that event.
        for problem in Problem::ALL {
            metrics.refused.with_label_values(&[problem.code()]);
        }
        for outcome in Outcome::ALL {
            metrics.handled.with_label_values(&[outcome.as_str()]);
        }
        metrics
    }

    pub(crate) fn refused(&self, problem: Problem) {
        self.refused.with_label_values(&[problem.code()]).inc();
    }

    pub(crate) fn handled(&self, outcome: Outcome) {
        self.handled.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Everything in the text format of Prometheus.
    pub(crate) fn page(&self, spool: &Spool) -> Response {
        self.waiting.set(i64::try_from(spool.waiting().len()).unwrap_or(i64::MAX));
        self.oldest.set(spool.age_of_oldest().as_secs_f64());
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        if let Err(error) = encoder.encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        Response::builder().content_type(encoder.format_type()).body(text)
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect("names and labels are valid");
    registry.register(Box::new(collector.clone())).expect("every name is used once");
    collector
}
