//! `model`: trains a classifier and says how good it is. stdout is data, stderr is progress.
//!
//! The dispatch only: each command's story is in its file under `commands`.

mod commands;

use std::process::ExitCode;

use clap::Parser;
use contract::causes;

use crate::commands::Command;

/// Train and evaluate the model of a task
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[expect(clippy::print_stderr, reason = "the one place where an error is shown")]
fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes::sentence(error.chain()));
            ExitCode::from(commands::status(&error))
        }
    }
}
