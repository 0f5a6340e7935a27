//! The receiver of reports as Argo CD meets it: the built `gitops-listen` on loopback, the built `xtask`
//! behind it, and a repository with a remote of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "listen/accepting.rs"]
mod accepting;
#[path = "listen/endings.rs"]
mod endings;
#[path = "listen/handling.rs"]
mod handling;
#[path = "listen/pages.rs"]
mod pages;
#[path = "listen/receiver.rs"]
mod receiver;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;
