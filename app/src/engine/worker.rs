//! [`Worker`]: one thread that computes. It takes what waits and answers each request with its share of
//! the batch; no panic ends it.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use contract::image::Image;
use contract::prediction::Scores;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::queue::{Job, Queue};
use super::{Batch, Computed, EngineError, Released};

pub(super) struct Worker<C, O> {
    pub(super) queue: Arc<Queue>,
    pub(super) breaker: Arc<Breaker>,
    pub(super) max_batch: usize,
    pub(super) delay: Duration,
    pub(super) classify: C,
    pub(super) observe: O,
}

impl<C, E, O> Worker<C, O>
where
    C: FnMut(&[Image]) -> Result<Vec<Scores>, E>,
    E: Display,
    O: Fn(Batch),
{
    /// Until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let mut images = Vec::with_capacity(self.max_batch);
        while let Some((jobs, released)) = queue.take(self.max_batch, self.delay) {
            images.clear();
            // Whoever waits for an answer that a panic dropped is told so.
            let answer = AssertUnwindSafe(|| self.answer(jobs, released, &mut images));
            if let Err(panic) = catch_unwind(answer) {
                tracing::error!(message = message(&*panic), "a batch was lost to a panic");
            }
        }
    }

    fn answer(&mut self, jobs: Vec<Job>, released: Released, images: &mut Vec<Image>) {
        let started = Instant::now();
        let mut shares = Vec::with_capacity(jobs.len());
        for mut job in jobs.into_iter().filter_map(|job| still_wanted(job, started)) {
            let count = job.images.len();
            images.append(&mut job.images);
            shares.push((job, count));
        }
        let batch = images.len();
        if batch == 0 {
            return;
        }
        (self.observe)(Batch { images: batch, released });
        let started = Instant::now();
        let result = self.compute(images);
        let ended = Instant::now();
        self.breaker.record(result.is_ok(), ended);
        let infer = ended - started;
        let mut scores = result.map(Vec::into_iter);
        for (job, count) in shares {
            let queue = started.duration_since(job.queued);
            let share = scores.as_mut().map(|scores| scores.take(count).collect());
            let answer = match share {
                Ok(scores) => Ok(Computed { scores, queue, infer, batch }),
                Err(error) => Err(error.clone()),
            };
            // An error here means that the caller has gone.
            drop(job.reply.send(answer));
        }
    }

    fn compute(&mut self, images: &[Image]) -> Result<Vec<Scores>, EngineError> {
        let failed = |reason: String| {
            tracing::error!(images = images.len(), reason, "a computation failed");
            Err(EngineError::Failed(reason))
        };
        // A model holds no state between calls that an unwound one could leave half changed.
        match catch_unwind(AssertUnwindSafe(|| (self.classify)(images))) {
            Ok(Ok(scores)) if scores.len() == images.len() => Ok(scores),
            Ok(Ok(scores)) => {
                failed(format!("{} scores for {} images", scores.len(), images.len()))
            }
            Ok(Err(error)) => failed(error.to_string()),
            Err(panic) => failed(format!("panic: {}", message(&*panic))),
        }
    }
}

/// Nothing is computed for a caller who has gone or is past the deadline.
pub(super) fn still_wanted(job: Job, now: Instant) -> Option<Job> {
    if job.reply.is_closed() {
        return None;
    }
    if job.deadline <= now {
        drop(job.reply.send(Err(EngineError::Late)));
        return None;
    }
    Some(job)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
