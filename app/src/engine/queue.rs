//! [`Queue`]: requests in order of arrival, bounded by the images they hold.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Threads that wait for a change.
    idle: usize,
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
        let is_awaited = state.idle > 0;
        drop(state);
        // To wake nobody is a system call, too.
        if is_awaited {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for work, then for company as long as `delay` allows the oldest request, and takes what is
    /// there up to `max` images, but at least one request. Nothing once the queue is closed and empty.
    pub(super) fn take(&self, max: usize, delay: Duration) -> Option<(Vec<Job>, Released)> {
        let mut state = self.lock();
        let released = loop {
            let Some(oldest) = state.jobs.front() else {
                if state.closed {
                    return None;
                }
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            if state.images >= max {
                break Released::Full;
            }
            if delay.is_zero() || state.closed {
                break Released::Drained;
            }
            let left = delay.saturating_sub(oldest.queued.elapsed());
            if left.is_zero() {
                break Released::Delay;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        };
        let mut jobs = Vec::with_capacity(state.jobs.len().min(max));
        let mut images = 0;
        while let Some(next) = state.jobs.front() {
            if !jobs.is_empty() && images + next.images.len() > max {
                break;
            }
            images += next.images.len();
            jobs.extend(state.jobs.pop_front());
        }
        state.images -= images;
        Some((jobs, released))
    }

    /// What waits is still handed out; nothing new is taken in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().images
    }

    /// Every change of the state is complete before anything can panic, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
