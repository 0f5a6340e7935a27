//! [`Dialogue`]: how far a connection's talk has come, and [`HeadLimit`], the socket that keeps track of
//! it and closes where a head is begun and not ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// From a head's first byte to its last.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Dialogue {
    requests: AtomicU64,
    answering: AtomicBool,
    /// Counts reads and writes that moved something.
    activity: AtomicU64,
    begun: Notify,
}

/// A request is being answered for as long as this lives.
pub(super) struct Answering(Arc<Dialogue>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Release);
    }
}

impl Dialogue {
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.answering.store(true, Ordering::Release);
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.begun.notify_one();
        Answering(Arc::clone(self))
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
    dialogue: Arc<Dialogue>,
    /// Runs while a head is incomplete: since when, as the number of requests before it, and until when.
    head: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<S> HeadLimit<S> {
    pub(super) fn new(socket: S, dialogue: Arc<Dialogue>) -> Self {
        Self { socket, dialogue, head: None }
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
        let read = Pin::new(&mut this.socket).poll_read(context, buffer);
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
        let dialogue = Arc::new(Dialogue::default());
        (caller, HeadLimit::new(socket, Arc::clone(&dialogue)), dialogue)
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
        assert_eq!(then(socket).await, Some(io::ErrorKind::TimedOut));
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
        caller.write_all(b"head").await.unwrap();
        socket.read_exact(&mut [0; 4]).await.unwrap();
        let answering = dialogue.begin();
        caller.write_all(b"body").await.unwrap();
        socket.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(then(socket).await, None, "the head was complete");
        drop(answering);
    }
}
