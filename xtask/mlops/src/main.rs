//! `mlops`: what a model needs over the years and what is too heavy for `xtask`, which starts it. stdout is data,
//! stderr is progress.

mod data;
mod drift;
mod ending;
mod features;
mod feedback;
mod records;
mod runs;
mod told;
mod track;
mod tune;

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use contract::causes;

/// Keep a model good over the years
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Version data in DVC's formats
    #[command(subcommand)]
    Data(data::Command),
    Drift(drift::Args),
    /// What was predicted, as Parquet by day that Feast can read
    #[command(subcommand)]
    Features(features::Command),
    Feedback(feedback::Args),
    Runs(runs::Args),
    Track(track::Args),
    Registry(track::RegistryArgs),
    Tune(tune::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Data(command) => command.run(),
        Command::Drift(args) => args.run(),
        Command::Features(command) => command.run(),
        Command::Feedback(args) => args.run(),
        Command::Runs(args) => args.run(),
        Command::Track(args) => args.run(),
        Command::Registry(args) => args.run(),
        Command::Tune(args) => args.run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closed stderr does not read it.
            drop(writeln!(stderr(), "error: {}", causes::sentence(error.chain())));
            ending::code(&error)
        }
    }
}
