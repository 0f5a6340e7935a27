//! What was trained is told by its records alone, and by a real MLflow server to its own client: once, whatever
//! becomes of the server meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tracking/live.rs"]
mod live;
#[path = "tracking/mlflow.rs"]
mod mlflow;
#[path = "tracking/proxy.rs"]
mod proxy;
#[path = "tracking/records.rs"]
mod records;
#[path = "tracking/registry.rs"]
mod registry;
#[path = "tracking/replayed.rs"]
mod replayed;
#[path = "tracking/runs.rs"]
mod runs;
#[path = "tracking/study.rs"]
mod study;
// Of the tests of `tune`: a task that is learnt in a second.
#[path = "tune/world.rs"]
#[expect(dead_code, reason = "it has more than is wanted here")]
mod world;
// Of the loop's tests: a fork with a remote, where Changes are verified and rolled back.
#[path = "loop/scratch.rs"]
#[expect(dead_code, reason = "it has more than is wanted here")]
mod scratch;
