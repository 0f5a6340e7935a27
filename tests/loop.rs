//! The loop as people and workflows drive it: the built `xtask` in a clone with a remote of its own,
//! and nothing else but git.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "loop/gate.rs"]
mod gate;
#[path = "loop/input.rs"]
mod input;
#[path = "loop/reports.rs"]
mod reports;
#[path = "loop/requests.rs"]
mod requests;
#[path = "loop/scratch.rs"]
mod scratch;
#[path = "loop/watch.rs"]
mod watch;
