//! What is written is what is served; whatever happened to it in between, nothing wrong is served.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod compressing;
mod refusals;
mod serving;
mod toy;
mod writing;
