//! The commands of `model`, one file each.

mod bench;
mod classify;
mod compress;
mod data;
mod evaluate;
mod probes;
mod recipe;
mod replay;
mod train;

use std::fmt::Display;
use std::io::Write as _;

use model::training::TrainingError;

/// Exit status of what was stopped on request, as shells report it after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Of a training that came to nothing by its recipe: another one may do.
const DIVERGED: u8 = 3;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Train(train::Args),
    Compress(compress::Args),
    Evaluate(evaluate::Args),
    Classify(classify::Args),
    Probes(probes::Args),
    Recipe(recipe::Args),
    Replay(replay::Args),
    #[command(subcommand)]
    Bench(bench::Command),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => args.run(),
            Self::Compress(args) => args.run(),
            Self::Evaluate(args) => args.run(),
            Self::Classify(args) => args.run(),
            Self::Probes(args) => args.run(),
            Self::Recipe(args) => args.run(),
            Self::Replay(args) => args.run(),
            Self::Bench(command) => command.run(),
        }
    }
}

/// Exit status of a command that ended with `error`.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    if error.is::<train::Interrupted>() {
        INTERRUPTED
    } else if matches!(error.downcast_ref(), Some(TrainingError::Diverged { .. })) {
        DIVERGED
    } else {
        1
    }
}

/// Data, to stdout.
fn print(data: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{data}")?)
}
