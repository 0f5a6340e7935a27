//! Reading a request's body within a limit of its own, a budget shared by all and its deadline.

use futures_util::StreamExt;
use poem::http::header::{CONTENT_LENGTH, EXPECT};
use poem::{Body, Request};
use protocol::problem::{Code, Refusal};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Bodies of the largest size that may be in memory together.
const LARGE_BODIES: usize = 16;

/// How much of a body that is too large is thrown away, so that its sender reads the answer instead
/// of a reset connection.
const PATIENCE: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Bodies {
    limit: usize,
    /// In KiB.
    budget: Semaphore,
}

impl Bodies {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, budget: Semaphore::new(kib(limit) * LARGE_BODIES) }
    }

    /// The body, and its share of the budget, to be held for as long as the bytes are.
    pub(super) async fn read(
        &self,
        request: &Request,
        body: Body,
        deadline: Instant,
    ) -> Result<(Vec<u8>, SemaphorePermit<'_>), Refusal> {
        let length = request.headers().get(CONTENT_LENGTH);
        let declared = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let expected = declared.unwrap_or(self.limit);
        let mut stream = body.into_bytes_stream();
        let too_large = || {
            let detail = format!("the body is larger than {} bytes", self.limit);
            Refusal::new(Code::BodyTooLarge, detail)
        };
        if expected > self.limit {
            // Who asks before sending needs only the answer.
            if !request.headers().contains_key(EXPECT) {
                discard(&mut stream, deadline).await;
            }
            return Err(too_large());
        }
        let share = u32::try_from(kib(expected)).expect("a body limit is at most 256 MiB");
        let held = self.budget.try_acquire_many(share).map_err(|_exhausted| {
            Refusal::new(Code::Overloaded, "too many large bodies at once; try again shortly")
        })?;
        let mut bytes = Vec::with_capacity(declared.unwrap_or(0));
        let timeout = |_elapsed| {
            Refusal::new(
                Code::RequestTimeout,
                "the body did not arrive within the time for a request",
            )
        };
        while let Some(chunk) = timeout_at(deadline, stream.next()).await.map_err(timeout)? {
            let chunk = chunk.map_err(|_error| {
                Refusal::new(Code::MalformedRequest, "the body ended before it was complete")
            })?;
            if bytes.len() + chunk.len() > self.limit {
                discard(&mut stream, deadline).await;
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes, held))
    }
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

async fn discard<C: AsRef<[u8]>, E>(
    stream: &mut (impl futures_util::Stream<Item = Result<C, E>> + Unpin),
    deadline: Instant,
) {
    let mut left = PATIENCE;
    while let Ok(Some(Ok(chunk))) = timeout_at(deadline, stream.next()).await {
        let Some(rest) = left.checked_sub(chunk.as_ref().len()) else { return };
        left = rest;
    }
}
