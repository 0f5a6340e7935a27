//! The thread that computes: takes what waits and answers each request with its share of the batch.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::image::Image;
use contract::prediction::Scores;
use tokio::time::Instant;

use super::queue::{Job, Queue};
use super::{Batch, Computed, EngineError};

pub(super) fn run<E: Display>(
    queue: &Queue,
    max_batch: usize,
    mut classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, E>,
    observe: impl Fn(Batch),
) {
    let _refuse_callers = CloseOnExit(queue);
    while let Some((jobs, released)) = queue.take(max_batch) {
        let mut images = Vec::new();
        let shares: Vec<(Job, usize)> = jobs
            .into_iter()
            .filter_map(still_wanted)
            .map(|mut job| {
                let count = job.images.len();
                images.append(&mut job.images);
                (job, count)
            })
            .collect();
        if images.is_empty() {
            continue;
        }
        observe(Batch { images: images.len(), released });
        let started = Instant::now();
        let result = compute(&mut classify, &images);
        let infer = started.elapsed();
        let batch = images.len();
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
}

/// Nothing is computed for a caller who has gone or is past the deadline.
pub(super) fn still_wanted(job: Job) -> Option<Job> {
    if job.reply.is_closed() {
        return None;
    }
    if job.deadline <= Instant::now() {
        drop(job.reply.send(Err(EngineError::Late)));
        return None;
    }
    Some(job)
}

fn compute<E: Display>(
    classify: &mut impl FnMut(&[Image]) -> Result<Vec<Scores>, E>,
    images: &[Image],
) -> Result<Vec<Scores>, EngineError> {
    let failed = |reason: String| {
        tracing::error!(images = images.len(), reason, "a computation failed");
        Err(EngineError::Failed(reason))
    };
    // A model holds no state between calls that an unwound one could leave half changed.
    match catch_unwind(AssertUnwindSafe(|| classify(images))) {
        Ok(Ok(scores)) if scores.len() == images.len() => Ok(scores),
        Ok(Ok(scores)) => failed(format!("{} scores for {} images", scores.len(), images.len())),
        Ok(Err(error)) => failed(error.to_string()),
        Err(panic) => failed(format!("panic: {}", message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// However the thread ends, callers are refused instead of left waiting.
struct CloseOnExit<'q>(&'q Queue);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        self.0.close();
        while self.0.take(usize::MAX).is_some() {}
    }
}
