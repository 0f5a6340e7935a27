//! The only task runner: `cargo xtask --help` is the index of what this repository can do.
//!
//! It links no libtorch and builds in seconds; what needs either is another binary, built on demand.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod deliver;
mod develop;
mod download;
mod identity;
mod keep;
mod libtorch;
mod mainline;
mod operate;
mod process;
mod reconciler;
mod rendered;
mod repo;
mod report;
mod tools;
mod train;

fn main() -> ExitCode {
    match cli::Cli::parse().run().and_then(|()| report::all_told()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
    }
}
