//! `setup`: everything that building the libtorch packages needs, once per user.

use crate::libtorch;
use crate::repo::Repo;
use crate::report::step;

/// Provide libtorch, so that plain cargo and rust-analyzer work
///
/// Uses your own LIBTORCH if it is set, else a copy in your cache folder, else downloads it once
/// (526 MB) by way of pip. Other commands do this by themselves when they need it.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: Args, repo: &Repo) -> anyhow::Result<()> {
    libtorch::ensure(repo)?;
    step("ready: `cargo build --release --package app` works now");
    Ok(())
}
