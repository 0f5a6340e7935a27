//! The whole service but for libtorch: a closure stands in for the model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod document;
mod feedback;
mod harness;
mod lifecycle;
mod page;
mod predicts;
mod records;
mod refuses;
mod smoke;
mod telemetry;
mod tls;
mod tokens;
mod v2;
