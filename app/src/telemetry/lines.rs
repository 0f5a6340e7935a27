//! [`Lines`]: whole lines on their way to somewhere slow. A thread of its own writes them; when it does not keep
//! up they are dropped and counted, so no request ever waits for one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use prometheus::IntCounter;

/// Lines that may wait for the writer.
pub(super) const WAITING: usize = 8192;
/// Bytes of them: a line may be long.
const WAITING_BYTES: usize = 8 << 20;
/// How long a line may wait for others to be written with.
const GATHERING: Duration = Duration::from_millis(10);
/// How long the end of the process waits for a writer that does not write.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

#[derive(Clone)]
pub struct Lines {
    sender: SyncSender<Message>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

impl Lines {
    /// `name` is the thread's; `dropped` counts what was not written.
    pub fn to(
        out: impl io::Write + Send + 'static,
        name: &str,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let (failed, waiting) = (dropped.clone(), Arc::new(AtomicUsize::new(0)));
        let written = Arc::clone(&waiting);
        let work = move || write(&receiver, out, &written, &failed);
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { sender, waiting, dropped })
    }

    /// With its end.
    pub fn send(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.waiting.fetch_add(length, Ordering::AcqRel);
        let is_sent =
            before + length <= WAITING_BYTES && self.sender.try_send(Message::Line(line)).is_ok();
        if !is_sent {
            self.waiting.fetch_sub(length, Ordering::AcqRel);
            self.dropped.inc();
        }
    }

    /// What was sent before is written when this returns, or nobody reads it.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        // A full queue means that nobody reads; then there is nothing to wait for.
        if self.sender.try_send(Message::Flush(done)).is_ok()
            && written.recv_timeout(FLUSH_LIMIT).is_err()
        {
            self.dropped.inc();
        }
    }

    pub fn dropped(&self) -> IntCounter {
        self.dropped.clone()
    }
}

fn write(
    receiver: &Receiver<Message>,
    mut out: impl io::Write,
    waiting: &AtomicUsize,
    failed: &IntCounter,
) {
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        // Whoever sends a line wakes nobody meanwhile, and the kernel is given many at once.
        if matches!(next, Some(Message::Line(_))) {
            std::thread::sleep(GATHERING);
        }
        while let Some(message) = next {
            match message {
                // A closed pipe or a full disk: nothing to fail for, but to be seen.
                Message::Line(line) => {
                    if out.write_all(&line).is_err() {
                        failed.inc();
                    }
                    waiting.fetch_sub(line.len(), Ordering::AcqRel);
                }
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

#[cfg(test)]
mod tests {
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

    fn gated() -> (mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>, Lines) {
        let (open, gate) = mpsc::channel();
        let written = Arc::default();
        let out = Gated { gate, written: Arc::clone(&written) };
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        (open, written, Lines::to(out, "lines", dropped).unwrap())
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted() {
        let (_kept, _written, lines) = gated();
        for _ in 0..3 * WAITING {
            lines.send(vec![b'x'; 1000]);
        }
        assert!(lines.dropped.get() >= WAITING as u64, "{}", lines.dropped.get());
    }

    #[test]
    fn few_long_lines_wait_as_many_short_ones_do_and_make_room_when_they_are_written() {
        let (open, written, lines) = gated();
        let line = || vec![b'x'; WAITING_BYTES / 4];
        for _ in 0..10 {
            lines.send(line());
        }
        assert_eq!(lines.dropped.get(), 6);
        for _ in 0..5 {
            open.send(()).unwrap();
        }
        lines.flush();
        lines.send(line());
        lines.flush();
        assert_eq!(written.lock().unwrap().len(), 5 * (WAITING_BYTES / 4));
        assert_eq!(lines.dropped.get(), 6);
    }

    #[test]
    fn the_last_line_is_written_before_the_end() {
        let (open, written, lines) = gated();
        for _ in 0..100 {
            lines.send(b"line\n".to_vec());
            open.send(()).unwrap();
        }
        lines.flush();
        assert_eq!(written.lock().unwrap().len(), 500);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted() {
        let (open, _written, lines) = gated();
        drop(open);
        lines.send(b"line\n".to_vec());
        lines.flush();
        assert_eq!(lines.dropped.get(), 1);
    }
}
