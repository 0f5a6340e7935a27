//! The log: one JSON object per line on stdout, one line per request; how lines travel is said in
//! [`super::lines`].

use std::io;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::api::routes::{self, Route};
use crate::envelope::Exchange;
use crate::telemetry::lines::Lines;

/// Flushes the log when dropped.
pub struct Log {
    lines: Lines,
}

impl Log {
    /// Makes this the log of the whole process; panics are told in it, too.
    pub fn install(levels: Targets) -> io::Result<Self> {
        let dropped =
            IntCounter::new("log_lines_dropped_total", "Log lines that nobody read in time")
                .map_err(io::Error::other)?;
        let lines = Lines::to(io::BufWriter::new(io::stdout()), "log", dropped)?;
        let layer = layer(lines.clone()).with_filter(levels);
        tracing_subscriber::registry().with(layer).try_init().map_err(io::Error::other)?;
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, message = panic.payload_as_str(), "panic");
        }));
        Ok(Self { lines })
    }

    /// Lines that were dropped, for the metrics.
    pub fn dropped(&self) -> IntCounter {
        self.lines.dropped()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.flush();
    }
}

/// The form of a line.
pub fn layer<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer)
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// One line for one request; what machines poll is told at `debug` only.
pub fn access(exchange: &Exchange<'_>, model_version: &str) {
    let Exchange { request_id, trace, method, route, status, elapsed, refused, answer, .. } =
        exchange;
    let Exchange { client, feedback, .. } = exchange;
    let first = answer.and_then(|answer| answer.predictions.first());
    let single = first.filter(|_| answer.is_some_and(|answer| answer.predictions.len() == 1));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "access",
                request_id,
                trace_id = trace.map(tracing::field::display),
                method = method.as_str(),
                route = routes::label(*route),
                status = status.as_u16(),
                ms = milliseconds(*elapsed),
                code = refused.map(|code| code.as_str()),
                client = client.map(tracing::field::display),
                images = answer.map(|answer| answer.predictions.len()),
                label = single.map(|prediction| prediction.label),
                confidence = single.map(|prediction| prediction.confidence),
                queue_ms = answer.map(|answer| milliseconds(answer.timings.queue)),
                infer_ms = answer.map(|answer| milliseconds(answer.timings.infer)),
                batch = answer.map(|answer| answer.batch),
                about = feedback.map(|taken| &*taken.feedback.receipt.request_id),
                image = feedback.map(|taken| taken.feedback.receipt.image),
                predicted = feedback.map(|taken| taken.feedback.receipt.label),
                truth = feedback.map(|taken| taken.feedback.truth),
                counted = feedback.map(|taken| taken.counted),
                model_version,
                "request"
            )
        };
    }
    if route.is_some_and(Route::is_polled) && refused.is_none() {
        line!(debug);
    } else {
        line!(info);
    }
}

/// To the microsecond.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
