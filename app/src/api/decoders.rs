//! [`Decoders`]: work on bodies that would hold up the runtime, on threads of its own. As much goes on at a time as
//! there are cores, and a bounded number waits. What takes long has turns of its own, so that it neither keeps the
//! rest waiting nor fills the memory.

use std::sync::Arc;

use protocol::problem::{Code, Refusal};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::config::cores;

/// Pixels that are gone over within some ten milliseconds.
const LIGHT: u64 = 2 << 20;

/// For each that goes on. They take up to half a second, and the last one's caller still has time.
const HEAVY_WAITING: usize = 8;

#[derive(Debug)]
pub(super) struct Decoders {
    light: Lane,
    heavy: Lane,
}

#[derive(Debug)]
struct Lane {
    turns: Arc<Semaphore>,
    /// Of what has its turn and of what waits for it.
    places: Arc<Semaphore>,
}

impl Lane {
    fn new(turns: usize, waiting: usize) -> Self {
        let places = Arc::new(Semaphore::new(turns + waiting));
        Self { turns: Arc::new(Semaphore::new(turns)), places }
    }
}

impl Decoders {
    /// So much that is soon done may wait for its turn.
    pub(super) fn new(waiting: usize) -> Self {
        // A large picture takes a fifth of a gigabyte.
        let heavy = (cores() / 4).max(1);
        Self { light: Lane::new(cores(), waiting), heavy: Lane::new(heavy, heavy * HEAVY_WAITING) }
    }

    /// Work that goes over so many pixels.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        pixels: u64,
        deadline: Instant,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let lane = if pixels <= LIGHT { &self.light } else { &self.heavy };
        let place = Arc::clone(&lane.places).try_acquire_owned().map_err(|_full| full())?;
        let turn = timeout_at(deadline, Arc::clone(&lane.turns).acquire_owned());
        let turn = turn.await.map_err(|_elapsed| late())?;
        // The turn is over when the work is, also where nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        match timeout_at(deadline, working).await.map_err(|_elapsed| late())? {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "decoding a body failed");
                Err(Refusal::new(Code::Internal, "the body could not be decoded"))
            }
        }
    }
}

fn full() -> Refusal {
    Refusal::new(Code::Overloaded, "too many pictures wait to be decoded; try again shortly")
}

pub(super) fn late() -> Refusal {
    Refusal::new(Code::DeadlineExceeded, "there was no time left to decode the body")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::stream::{FuturesUnordered, StreamExt};

    use super::*;

    #[tokio::test]
    async fn long_work_waits_within_bounds_and_short_work_does_not_wait_for_it() {
        let decoders = Decoders::new(3);
        let deadline = Instant::now() + Duration::from_hours(1);
        let (kept, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        // Ends with the test.
        let stuck = |pixels| {
            let gate = Arc::clone(&gate);
            decoders.run(pixels, deadline, move || {
                drop(gate.lock().map(|gate| gate.recv()));
                Ok(())
            })
        };
        let heavy = (cores() / 4).max(1);
        let mut calls: FuturesUnordered<_> =
            (0..heavy * (1 + HEAVY_WAITING)).map(|_| stuck(LIGHT + 1)).collect();
        assert!(calls.next().now_or_never().is_none(), "all have their place");
        assert_eq!(stuck(LIGHT + 1).await.unwrap_err().code, Code::Overloaded);
        assert_eq!(decoders.run(LIGHT, deadline, || Ok(7)).await, Ok(7));
        let mut short: FuturesUnordered<_> = (0..cores() + 3).map(|_| stuck(0)).collect();
        assert!(short.next().now_or_never().is_none(), "all have their place");
        assert_eq!(stuck(0).await.unwrap_err().code, Code::Overloaded);
        drop((calls, short, kept));
    }
}
