//! [`Engine`]: images in, scores out, computed on threads of its own behind one bounded queue.
//!
//! It is generic over a closure per thread and knows neither libtorch nor HTTP. However many requests
//! come, at most `depth` images wait; nobody waits past their deadline; a computation that fails or
//! panics fails the requests it was made for and no others, and its thread goes on. After many failures
//! in a row the [`Breaker`] refuses what would only fail as well.

mod breaker;
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

use self::breaker::Breaker;
use self::queue::{Job, Queue};
use self::worker::Worker;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Images that may wait.
    pub depth: usize,
    /// Images in one computation.
    pub max_batch: usize,
    /// How long a request may wait for others to be computed with; none takes what is there.
    pub delay: Duration,
    /// Failed computations in a row after which requests are refused for a while.
    pub failures: u32,
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
    #[error("too many computations failed in a row")]
    Broken,
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
    Drained,
    /// Its oldest request had waited for company as long as it may.
    Delay,
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
    breaker: Arc<Breaker>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// One thread per classifier. Each returns scores in the order of the images; `observe` is told of
    /// every computation.
    pub fn start<E, C>(
        options: Options,
        classifiers: impl IntoIterator<Item = C>,
        observe: impl Fn(Batch) + Clone + Send + 'static,
    ) -> io::Result<Self>
    where
        E: Display,
        C: FnMut(&[Image]) -> Result<Vec<Scores>, E> + Send + 'static,
    {
        let queue = Arc::new(Queue::new(options.depth));
        let breaker = Arc::new(Breaker::new(options.failures));
        let mut engine = Self { queue, breaker, threads: Vec::new() };
        for (index, classify) in classifiers.into_iter().enumerate() {
            let worker = Worker {
                queue: Arc::clone(&engine.queue),
                breaker: Arc::clone(&engine.breaker),
                max_batch: options.max_batch,
                delay: options.delay,
                classify,
                observe: observe.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("engine-{index}"));
            engine.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(engine)
    }

    pub async fn classify(
        &self,
        images: Vec<Image>,
        deadline: Instant,
    ) -> Result<Computed, EngineError> {
        let queued = Instant::now();
        if !self.breaker.admits(queued) {
            return Err(EngineError::Broken);
        }
        let (reply, answer) = oneshot::channel();
        self.queue.push(Job { images, deadline, queued, reply })?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_dropped)) => Err(EngineError::Failed("its thread panicked".to_owned())),
            Err(_elapsed) => Err(EngineError::Late),
        }
    }

    /// Images that wait right now.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Whether every thread is there to compute.
    pub fn is_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Whether requests are refused because computations failed.
    pub fn is_broken(&self) -> bool {
        self.breaker.is_open(Instant::now())
    }
}

impl Drop for Engine {
    /// Finishes what waits, then ends the threads.
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests;
