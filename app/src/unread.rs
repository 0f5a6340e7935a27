//! [`Unread`]: what is left of a request's body once its reader is done. It is thrown away before a
//! refusal, so that whoever is still sending reads the answer instead of a reset connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use poem::http::header::EXPECT;
use poem::{Body, Request};
use tokio::time::{Instant, timeout_at};

/// How much is thrown away at most.
const PATIENCE: usize = 16 << 20;

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

struct Rest {
    /// None once it has ended.
    chunks: Option<Chunks>,
    /// Nothing is sent before it is asked for, and nobody has asked.
    withheld: bool,
}

/// Shared with the body that the reader gets.
pub struct Unread(Arc<Mutex<Rest>>);

impl Unread {
    pub fn of(request: &mut Request) -> Self {
        let withheld = request.headers().contains_key(EXPECT);
        let body = request.take_body();
        if body.is_empty() {
            return Self(Arc::new(Mutex::new(Rest { chunks: None, withheld })));
        }
        let chunks: Chunks = Box::pin(body.into_bytes_stream());
        let rest = Arc::new(Mutex::new(Rest { chunks: Some(chunks), withheld }));
        let read = Arc::clone(&rest);
        request.set_body(Body::from_bytes_stream(poll_fn(move |context| {
            let mut rest = lock(&read);
            rest.withheld = false;
            let Some(chunks) = &mut rest.chunks else { return None.into() };
            let chunk = chunks.poll_next_unpin(context);
            if matches!(chunk, Poll::Ready(None | Some(Err(_)))) {
                rest.chunks = None;
            }
            chunk
        })));
        Self(rest)
    }

    pub async fn discard(self, deadline: Instant) {
        let (chunks, withheld) = {
            let mut rest = lock(&self.0);
            (rest.chunks.take(), rest.withheld)
        };
        let Some(mut chunks) = chunks.filter(|_| !withheld) else { return };
        let mut left = PATIENCE;
        while let Ok(Some(Ok(chunk))) = timeout_at(deadline, chunks.next()).await {
            let Some(rest) = left.checked_sub(chunk.len()) else { return };
            left = rest;
        }
    }
}

fn lock(rest: &Mutex<Rest>) -> MutexGuard<'_, Rest> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    /// How long it takes to discard a body of which one chunk is there and the rest never comes.
    async fn waited(expect: bool, read: bool) -> Duration {
        let chunk = Ok::<_, io::Error>(vec![0; 8]);
        let body = Body::from_bytes_stream(stream::iter([chunk]).chain(stream::pending()));
        let request = Request::builder();
        let request = if expect { request.header(EXPECT, "100-continue") } else { request };
        let mut request = request.body(body);
        let unread = Unread::of(&mut request);
        if read {
            request.take_body().into_bytes_stream().next().await.unwrap().unwrap();
        }
        drop(request);
        let started = Instant::now();
        unread.discard(started + Duration::from_secs(5)).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_awaited_until_the_deadline_unless_its_sender_waits_to_be_asked() {
        let check = async |expect, read, seconds| {
            assert_eq!(waited(expect, read).await.as_secs(), seconds, "{expect} {read}");
        };
        check(false, false, 5).await;
        check(false, true, 5).await;
        check(true, false, 0).await;
        check(true, true, 5).await;
    }
}
