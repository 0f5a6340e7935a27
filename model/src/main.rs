//! `model`: trains a classifier and says how good it is. stdout is data, stderr is progress.
//!
//! The dispatch only: each command's story is in its file under `commands`.

mod commands;

use std::io::{Write as _, stderr};
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

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closed stderr does not read it.
            drop(writeln!(stderr(), "error: {}", causes::sentence(error.chain())));
            ExitCode::from(commands::status(&error))
        }
    }
}
