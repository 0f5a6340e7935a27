//! The log: one JSON object per line on stdout, one line per request.
//!
//! Lines are written by a thread of their own. When nobody reads them fast enough they are dropped and
//! counted; no request ever waits for its log line.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::api::routes::{self, Route};
use crate::envelope::Exchange;

/// Lines that may wait for the writer: about 2 MB.
const WAITING: usize = 8192;

/// How long the end of the process waits for a reader that does not read.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Sends lines to the writing thread.
#[derive(Clone)]
pub struct Lines {
    sender: SyncSender<Message>,
    dropped: IntCounter,
}

/// Flushes the log when dropped.
pub struct Log {
    lines: Lines,
}

impl Log {
    /// Makes this the log of the whole process; panics are told in it, too.
    pub fn install(levels: Targets) -> io::Result<Self> {
        let lines = Lines::to(io::stdout())?;
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
        self.lines.dropped.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // A full queue means that nobody reads; then there is nothing to wait for.
        if self.lines.sender.try_send(Message::Flush(done)).is_ok()
            && written.recv_timeout(FLUSH_LIMIT).is_err()
        {
            self.lines.dropped.inc();
        }
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

impl Lines {
    fn to(out: impl io::Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&receiver, out))?;
        let dropped =
            IntCounter::new("log_lines_dropped_total", "Log lines that nobody read in time")
                .expect("the name is valid");
        Ok(Self { sender, dropped })
    }
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.sender.try_send(Message::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.inc(),
        }
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

fn write(receiver: &Receiver<Message>, out: impl io::Write) {
    let mut out = io::BufWriter::new(out);
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            // A closed pipe is nobody reading, and nothing to fail for.
            match message {
                Message::Line(line) => drop(out.write_all(&line)),
                Message::Flush(done) => {
                    drop(out.flush());
                    // Whoever waited may have given up.
                    done.try_send(()).unwrap_or_default();
                }
            }
            next = receiver.try_recv().ok();
        }
        drop(out.flush());
    }
}

/// One line for one request; what machines poll is told at `debug` only.
pub fn access(exchange: &Exchange<'_>, model_version: &str) {
    let Exchange { request_id, method, route, status, elapsed, refused, answer } = exchange;
    let first = answer.and_then(|answer| answer.predictions.first());
    let single = first.filter(|_| answer.is_some_and(|answer| answer.predictions.len() == 1));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "access",
                request_id,
                method = method.as_str(),
                route = routes::label(*route),
                status = status.as_u16(),
                ms = milliseconds(*elapsed),
                code = refused.map(|code| code.as_str()),
                images = answer.map(|answer| answer.predictions.len()),
                label = single.map(|prediction| prediction.label),
                confidence = single.map(|prediction| prediction.confidence),
                queue_ms = answer.map(|answer| milliseconds(answer.timings.queue)),
                infer_ms = answer.map(|answer| milliseconds(answer.timings.infer)),
                batch = answer.map(|answer| answer.batch),
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    /// Writes only when told to.
    struct Gated {
        gate: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl io::Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.gate.recv().map_err(io::Error::other)?;
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted() {
        let (_kept, gate) = mpsc::channel();
        let mut lines = Lines::to(Gated { gate, written: Arc::default() }).unwrap();
        let line = [b'x'; 1000];
        for _ in 0..3 * WAITING {
            assert_eq!(lines.write(&line).unwrap(), line.len());
        }
        assert!(lines.dropped.get() >= WAITING as u64, "{}", lines.dropped.get());
    }

    #[test]
    fn the_last_line_is_written_before_the_end() {
        let (open, gate) = mpsc::channel();
        let written = Arc::default();
        let mut lines = Lines::to(Gated { gate, written: Arc::clone(&written) }).unwrap();
        for _ in 0..100 {
            lines.write_all(b"line\n").unwrap();
            open.send(()).unwrap();
        }
        drop(Log { lines });
        assert_eq!(written.lock().unwrap().len(), 500);
    }
}
