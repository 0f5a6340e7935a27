//! [`Breaker`]: open after a row of failed computations. Then a request now and then is let through, and
//! what becomes of it decides for the others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// As long as a refusal tells its caller to stay away.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row that open it.
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    /// The first request after that is let through, and so another pause begins: it may be lost on its
    /// way, and must not be the last.
    Open {
        until: Instant,
    },
}

impl Breaker {
    pub(super) fn new(most: u32) -> Self {
        Self { most, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether a request may be computed.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { until } if now < until => false,
            State::Open { .. } => {
                *state = State::Open { until: now + PAUSE };
                true
            }
        }
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        matches!(*self.lock(), State::Open { until } if now < until)
    }

    pub(super) fn record(&self, succeeded: bool, now: Instant) {
        let mut state = self.lock();
        *state = match *state {
            _ if succeeded => State::Closed { failures: 0 },
            State::Closed { failures } if failures + 1 < self.most => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => {
                tracing::error!(
                    failures = self.most,
                    "computations keep failing; refusing for a while"
                );
                State::Open { until: now + PAUSE }
            }
            State::Open { .. } => State::Open { until: now + PAUSE },
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_opens_it_and_a_success_between_them_does_not() {
        let (breaker, now) = (Breaker::new(2), Instant::now());
        for succeeded in [false, true, false] {
            breaker.record(succeeded, now);
            assert!(breaker.admits(now));
        }
        breaker.record(false, now);
        assert!(!breaker.admits(now) && breaker.is_open(now));
    }

    #[test]
    fn after_a_pause_one_request_is_let_through_and_decides() {
        let (breaker, mut now) = (Breaker::new(1), Instant::now());
        breaker.record(false, now);
        let admitted = |now| (0..9).filter(|_| breaker.admits(now)).count();
        for (outcome, then) in [(Some(false), 0), (None, 0), (Some(true), 9)] {
            now += PAUSE;
            assert!(!breaker.is_open(now), "whoever sends requests must come back to try");
            assert_eq!(admitted(now), 1);
            if let Some(succeeded) = outcome {
                breaker.record(succeeded, now);
            }
            assert_eq!(admitted(now), then, "{outcome:?}");
        }
    }
}
