//! Reading a request's body within a limit of its own, a budget shared by all and its deadline.
//!
//! The budget is charged for what has arrived, never for what was promised: a promise costs its sender
//! nothing.

use futures_util::StreamExt;
use poem::http::header::CONTENT_LENGTH;
use poem::{Body, Request};
use protocol::problem::{Code, Refusal};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Bodies of the largest size that may be in memory together.
const LARGE_BODIES: usize = 16;

/// Bodies up to this length are free: the limit on connections bounds what they take together, and a
/// crowd of large ones does not shut them out.
const SMALL: usize = 64 << 10;

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
        let declared = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        let too_large = || {
            let detail = format!("the body is larger than {} bytes", self.limit);
            Refusal::new(Code::BodyTooLarge, detail)
        };
        if declared > self.limit {
            return Err(too_large());
        }
        let timeout = |_elapsed| {
            Refusal::new(
                Code::RequestTimeout,
                "the body did not arrive within the time for a request",
            )
        };
        let mut stream = body.into_bytes_stream();
        let mut share = self.share(0)?;
        let mut bytes = Vec::with_capacity(declared.min(SMALL));
        while let Some(chunk) = timeout_at(deadline, stream.next()).await.map_err(timeout)? {
            let chunk = chunk.map_err(|_error| {
                Refusal::new(Code::MalformedRequest, "the body ended before it was complete")
            })?;
            let arrived = bytes.len() + chunk.len();
            if arrived > self.limit {
                return Err(too_large());
            }
            if arrived > SMALL {
                share.merge(self.share(kib(arrived) - share.num_permits())?);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes, share))
    }

    fn share(&self, kib: usize) -> Result<SemaphorePermit<'_>, Refusal> {
        let kib = u32::try_from(kib).expect("a body limit is at most 256 MiB");
        self.budget.try_acquire_many(kib).map_err(|_exhausted| {
            Refusal::new(Code::Overloaded, "too many large bodies at once; try again shortly")
        })
    }
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}
