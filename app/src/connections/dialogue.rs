//! [`Dialogue`]: how far a connection's talk has come, and [`HeadLimit`], the socket that keeps track of
//! it and closes where a head is begun and not ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::messages::Messages;

/// From a head's first byte to its last.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Of a body that says itself when it ends.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(super) struct Dialogue {
    requests: AtomicU64,
    answering: AtomicBool,
    answered: AtomicWaker,
    /// Bytes of the present body that were not read yet.
    body: AtomicU64,
    /// Counts reads and writes that moved something.
    activity: AtomicU64,
    begun: Notify,
}

/// A request is being answered for as long as this lives.
pub(super) struct Answering(Arc<Dialogue>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Release);
        self.0.answered.wake();
    }
}

impl Dialogue {
    /// `length` is the body's, where it is known.
    pub(super) fn begin(self: &Arc<Self>, length: Option<u64>) -> Answering {
        self.body.store(length.unwrap_or(UNKNOWN), Ordering::Release);
        self.answering.store(true, Ordering::Release);
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.begun.notify_one();
        Answering(Arc::clone(self))
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Acquire)
    }

    /// Whether the next bytes are of another request.
    pub(super) fn is_over(&self) -> bool {
        let body = self.body.load(Ordering::Acquire);
        !self.answering.load(Ordering::Acquire) && (body == 0 || body == UNKNOWN)
    }

    /// How many of so many bytes are of the present body.
    pub(super) fn take_body(&self, bytes: usize) -> usize {
        let left = self.body.load(Ordering::Acquire);
        let taken = usize::try_from(left).map_or(bytes, |left| left.min(bytes));
        if left != UNKNOWN {
            self.body.store(left - taken as u64, Ordering::Release);
        }
        taken
    }

    pub(super) fn wake_when_answered(&self, waker: &Waker) {
        self.answered.register(waker);
    }

    /// Until the first request has been read.
    pub(super) async fn until_begun(&self) {
        if self.requests.load(Ordering::Acquire) == 0 {
            self.begun.notified().await;
        }
    }

    /// Until for that long nothing is answered, read or written.
    pub(super) async fn until_silent_for(&self, time: Duration) {
        loop {
            let before = self.activity.load(Ordering::Acquire);
            sleep(time).await;
            let still = self.activity.load(Ordering::Acquire) == before;
            if still && !self.answering.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

pub(super) struct HeadLimit<S> {
    socket: S,
    messages: Messages,
    dialogue: Arc<Dialogue>,
    /// Runs while a head is incomplete: since when, as the number of requests before it, and until when.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    given_up: IntCounter,
}

impl<S> HeadLimit<S> {
    pub(super) fn new(socket: S, given_up: IntCounter) -> Self {
        let dialogue = Arc::new(Dialogue::default());
        Self {
            socket,
            messages: Messages::new(Arc::clone(&dialogue)),
            dialogue,
            head: None,
            given_up,
        }
    }

    pub(super) fn dialogue(&self) -> Arc<Dialogue> {
        Arc::clone(&self.dialogue)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = this.messages.poll_read(Pin::new(&mut this.socket), context, buffer);
        let requests = this.dialogue.requests.load(Ordering::Acquire);
        if this.head.as_ref().is_some_and(|(since, _)| *since != requests) {
            this.head = None;
        }
        if buffer.filled().len() > before {
            this.dialogue.activity.fetch_add(1, Ordering::AcqRel);
            if this.head.is_none() && !this.dialogue.answering.load(Ordering::Acquire) {
                this.head = Some((requests, Box::pin(sleep_until(Instant::now() + HEAD_LIMIT))));
            }
        }
        if read.is_pending()
            && let Some((_, limit)) = &mut this.head
            && limit.as_mut().poll(context).is_ready()
        {
            this.given_up.inc();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        if written.is_ready() {
            self.dialogue.activity.fetch_add(1, Ordering::AcqRel);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, bytes);
        if written.is_ready() {
            self.dialogue.activity.fetch_add(1, Ordering::AcqRel);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    fn pair() -> (DuplexStream, HeadLimit<DuplexStream>, Arc<Dialogue>) {
        let (caller, socket) = duplex(64);
        let socket = HeadLimit::new(socket, IntCounter::new("given_up", "given up").unwrap());
        let dialogue = socket.dialogue();
        (caller, socket, dialogue)
    }

    /// Reads what is there, then what comes within a minute.
    async fn then(mut socket: HeadLimit<DuplexStream>) -> Option<io::ErrorKind> {
        let minute = Duration::from_mins(1);
        match timeout(minute, socket.read(&mut [0; 64])).await {
            Ok(result) => Some(result.unwrap_err().kind()),
            Err(_still_open) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_begun_and_not_ended_closes_the_connection() {
        let (mut caller, mut socket, _) = pair();
        caller.write_all(b"GET / HT").await.unwrap();
        socket.read_exact(&mut [0; 8]).await.unwrap();
        let counter = socket.given_up.clone();
        assert_eq!(then(socket).await, Some(io::ErrorKind::TimedOut));
        assert_eq!(counter.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_a_head_does_not_prolong_it() {
        let (mut caller, mut socket, _) = pair();
        let dripped = Instant::now();
        loop {
            caller.write_all(b"x").await.unwrap();
            // The first byte comes, the second does not.
            let read = timeout(Duration::from_secs(3), socket.read_exact(&mut [0; 2])).await;
            if let Ok(Err(error)) = read {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                break;
            }
            assert!(dripped.elapsed() < Duration::from_secs(20));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_requests_and_time_to_answer_are_not_limited_here() {
        let (_caller, socket, _) = pair();
        assert_eq!(then(socket).await, None, "nothing was begun");

        let (mut caller, mut socket, dialogue) = pair();
        caller.write_all(b"head\n\n").await.unwrap();
        socket.read_exact(&mut [0; 6]).await.unwrap();
        let answering = dialogue.begin(Some(4));
        caller.write_all(b"body").await.unwrap();
        socket.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(then(socket).await, None, "the head was complete");
        drop(answering);
    }
}
