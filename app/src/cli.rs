//! The command line: which program of the binary runs, and how it ends.

use std::fmt::Display;
use std::io::{self, Write as _, stderr, stdout};
use std::process::{ExitCode, Termination};

use anyhow::Context;
use clap::{Parser, Subcommand};
use contract::causes;

use crate::config::{Config, Options};
use crate::{api, healthcheck, key, serve, smoke};

/// Classifies pictures over HTTP
#[derive(Debug, Parser)]
#[command(name = "mnist-api", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the model of one artifact until SIGTERM
    Serve(Box<Options>),
    /// Decide with labelled pictures whether the service at a URL is fit
    Smoke(smoke::Args),
    /// Ask the service on this machine whether it is ready
    Healthcheck(healthcheck::Args),
    /// Make an API key: prints the key, this once, then its line for `serve --api-keys-file`
    Key(key::Args),
    /// Print the OpenAPI document
    Openapi,
}

/// Every way to end. Pipelines decide on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// Something failed; the sentence is on stderr.
    Failed = 1,
    /// The service does not do what it should.
    AppWrong = 42,
    /// The service does, but its model does not.
    ModelWrong = 43,
    /// Command line or environment cannot be used (`EX_USAGE`).
    Usage = 64,
    /// Nothing can be said (`EX_TEMPFAIL`).
    Undecided = 75,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Runs what the command line asks for.
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help on a closed pipe: nobody is left to be told.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    match cli.command {
        Command::Serve(options) => match Config::try_from(*options) {
            Ok(config) => ended(serve::run(&config)),
            Err(mistakes) => {
                say(mistakes);
                Exit::Usage
            }
        },
        Command::Smoke(args) => smoke::run(&args),
        Command::Healthcheck(args) => ended(healthcheck::run(&args)),
        Command::Key(args) => ended(key::run(&args)),
        Command::Openapi => ended(print(&api::document::committed())),
    }
}

fn ended(result: anyhow::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Ok,
        Err(error) => {
            say(causes::sentence(error.chain()));
            Exit::Failed
        }
    }
}

/// A sentence for whoever started the program; whoever closed stderr does not read it.
pub(crate) fn say(sentence: impl Display) {
    drop(writeln!(stderr(), "error: {sentence}"));
}

/// Data for whoever started the program; whoever closed the pipe has read enough.
pub(crate) fn print(data: &str) -> anyhow::Result<()> {
    match writeln!(stdout(), "{data}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("stdout cannot be written")
        }
        _ => Ok(()),
    }
}
