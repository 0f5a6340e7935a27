//! On a real cluster, the one of the current context: asked for by `cargo xtask test --cluster REPOSITORY`,
//! which hands over where images may be pushed. Everything is in namespaces of its own, and gone afterwards.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cluster/acts.rs"]
mod acts;
#[path = "cluster/admission.rs"]
mod admission;
#[path = "cluster/autoscaling.rs"]
mod autoscaling;
#[path = "retrain/fork.rs"]
#[allow(dead_code, reason = "shared with the tests of `retrain`, which need more of it")]
mod fork;
#[path = "cluster/operation.rs"]
mod operation;
#[path = "cluster/policies.rs"]
mod policies;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;
#[path = "cluster/traffic.rs"]
mod traffic;
#[path = "cluster/training.rs"]
mod training;
#[path = "cluster/visitors.rs"]
mod visitors;
#[path = "cluster/world.rs"]
mod world;
