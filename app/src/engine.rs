//! [`Engine`]: images in, scores out, computed on one thread of its own behind a bounded queue.
//!
//! It is generic over a closure and knows neither libtorch nor HTTP. However many requests come, at
//! most `depth` images wait; nobody waits past their deadline; a computation that fails or panics
//! fails the requests it was made for and no others.

mod queue;
mod worker;

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use contract::image::Image;
use contract::prediction::Scores;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::queue::{Job, Queue};

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Images that may wait.
    pub depth: usize,
    /// Images in one computation.
    pub max_batch: usize,
}

/// Scores of one request's images, and how they came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    pub scores: Vec<Scores>,
    /// From being queued to the start of the computation.
    pub queue: Duration,
    pub infer: Duration,
    /// Images computed together, this request's among them.
    pub batch: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("the queue is full")]
    Full,
    #[error("the engine takes no more work")]
    Closed,
    #[error("the deadline passed")]
    Late,
    #[error("the computation failed: {0}")]
    Failed(String),
}

/// Why a batch was computed when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It held as many images as one computation takes.
    Full,
    /// Nothing else was waiting.
    Idle,
}

/// One computation, for whoever counts them.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    pub images: usize,
    pub released: Released,
}

#[derive(Debug)]
pub struct Engine {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// `classify` returns scores in the order of the images; `observe` is told of every computation.
    pub fn start<E: Display>(
        options: Options,
        classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, E> + Send + 'static,
        observe: impl Fn(Batch) + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(options.depth));
        let theirs = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || worker::run(&theirs, options.max_batch, classify, observe))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    pub async fn classify(
        &self,
        images: Vec<Image>,
        deadline: Instant,
    ) -> Result<Computed, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Job { images, deadline, queued: Instant::now(), reply })?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_dropped)) => Err(EngineError::Closed),
            Err(_elapsed) => Err(EngineError::Late),
        }
    }

    /// Images that wait right now.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    pub fn is_open(&self) -> bool {
        self.queue.is_open()
    }
}

impl Drop for Engine {
    /// Finishes what waits, then ends the thread.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the engine's thread panicked outside of a computation");
        }
    }
}

#[cfg(test)]
mod tests;
