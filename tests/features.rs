//! What was predicted, as Feast itself and Arrow read it: every record once, whatever is exported again or killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "features/export.rs"]
mod export;
#[path = "features/faults.rs"]
mod faults;
#[path = "features/read.rs"]
mod read;
