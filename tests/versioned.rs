//! Versioned data beside DVC itself: one pointer, one cache, one remote for both, and nothing lost whatever is killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "versioned/checkout.rs"]
mod checkout;
#[path = "versioned/faults.rs"]
mod faults;
#[path = "versioned/formats.rs"]
mod formats;
#[path = "versioned/sweeping.rs"]
mod sweeping;
#[path = "versioned/together.rs"]
mod together;
