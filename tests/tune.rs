//! `tune` with the real trainer: one seed looks at one sequence of recipes, whatever is killed; workers that share a
//! state share no trial; and what cannot be tuned, or told, is said.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tune/job.rs"]
mod job;
#[path = "tune/refusals.rs"]
mod refusals;
#[path = "tune/search.rs"]
mod search;
#[path = "tune/shared.rs"]
mod shared;
#[path = "tune/team.rs"]
mod team;
#[path = "tune/world.rs"]
mod world;
