//! What a stranger may send us, as targets for a fuzzer: each reads bytes as the service or `xtask` would, and
//! panics where the outcome is not one that the code promises.
//!
//! libFuzzer runs them by `cargo xtask check --fuzz`; the tests here run every seed, every finding of earlier
//! days and some thousand mutations on any machine. Neither libtorch nor a socket is needed.

mod bodies;
mod event;
pub mod mutation;
pub mod requests;

mod tensors;
mod words;

use peak_alloc::PeakAlloc;
use protocol::problem::Refusal;
use serde_json::Value;

pub use self::bodies::{JSON, MULTIPART, PICTURE};
pub use self::event::EVENT;
pub use self::tensors::TENSORS;
pub use self::words::{FEEDBACK, RECEIPT, TRACEPARENT};

pub const TARGETS: [Target; 8] =
    [JSON, PICTURE, MULTIPART, TENSORS, TRACEPARENT, RECEIPT, FEEDBACK, EVENT];

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Inputs that reach far, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Panics where the code breaks a promise.
    run: fn(&[u8]),
    /// MiB that one input may take at a time.
    memory: usize,
}

impl Target {
    /// Panics where the input makes the code break a promise, or take more memory than it may.
    pub fn judge(&self, input: &[u8]) {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        (self.run)(input);
        let taken = (MEMORY.peak_usage() - before) >> 20;
        assert!(taken <= self.memory, "{taken} MiB for {} bytes of {}", input.len(), self.name);
    }
}

/// Of a text of at most 64 KiB.
const TEXT: usize = 16;

/// A refusal blames its caller and does not send back what it was sent.
fn well_refused(refusal: &Refusal) {
    let problem = serde_json::to_vec(&refusal.problem("/", "r", None)).expect("a problem is JSON");
    let whole: Value = serde_json::from_slice(&problem).expect("a problem is JSON");
    assert!(whole["status"].as_u64().is_some_and(|status| (400..500).contains(&status)), "{whole}");
    assert!(problem.len() < 4096, "a problem of {} bytes: {:.200}", problem.len(), refusal.detail);
}
