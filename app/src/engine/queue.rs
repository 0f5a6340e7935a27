//! [`Queue`]: requests in order of arrival, bounded by the images they hold.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use contract::image::Image;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Computed, EngineError, Released};

#[derive(Debug)]
pub(super) struct Job {
    pub(super) images: Vec<Image>,
    pub(super) deadline: Instant,
    pub(super) queued: Instant,
    pub(super) reply: oneshot::Sender<Result<Computed, EngineError>>,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    depth: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    images: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(depth: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), depth }
    }

    /// A request is taken whole or not at all.
    pub(super) fn push(&self, job: Job) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EngineError::Closed);
        }
        if state.images + job.images.len() > self.depth {
            return Err(EngineError::Full);
        }
        state.images += job.images.len();
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for work, then takes what is there up to `max` images, but at least one request.
    /// Nothing once the queue is closed and empty.
    pub(super) fn take(&self, max: usize) -> Option<(Vec<Job>, Released)> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut jobs = Vec::new();
        let mut images = 0;
        while let Some(next) = state.jobs.front() {
            if !jobs.is_empty() && images + next.images.len() > max {
                break;
            }
            images += next.images.len();
            jobs.extend(state.jobs.pop_front());
        }
        state.images -= images;
        let full = images >= max || !state.jobs.is_empty();
        Some((jobs, if full { Released::Full } else { Released::Idle }))
    }

    /// What waits is still handed out; nothing new is taken in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn is_open(&self) -> bool {
        !self.lock().closed
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().images
    }

    /// Every change of the state is complete before anything can panic, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
