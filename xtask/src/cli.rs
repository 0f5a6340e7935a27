//! Every command, in one enum.

use clap::{Parser, Subcommand};

use crate::deliver::{image, manifests};
use crate::develop::{bench, check, setup, test};
use crate::operate::serve;
use crate::repo::Repo;
use crate::train::{data, probes, training};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, help_template = HELP)]
/// Ship a machine-learning model with Git as the only control plane
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// clap lists commands in one run; four questions bring people here. A test keeps this complete.
const HELP: &str = "\
{about}

{usage-heading} {usage}

Train and look:
  serve   Do all that is missing, then serve the newest model on 127.0.0.1:8000
  train   Train a model and print its artifact folder
  data    Fetch and verify the training data
  probes  Cut labelled probes for smoke tests

Deliver:
  image      Build the service's image, and prove that it answers
  manifests  Render and check what the environments run

Develop:
  setup   Provide libtorch, so that plain cargo and rust-analyzer work
  check   Formatting, lints, licences, boundaries, generated files
  test    Every test, cheapest first
  bench   Measure training and inference

Options:
{options}

`cargo xtask <COMMAND> --help` says more of each.
";

#[derive(Subcommand)]
pub(crate) enum Command {
    Serve(serve::Args),
    Train(training::Args),
    #[command(subcommand)]
    Data(data::Command),
    Probes(probes::Args),
    #[command(subcommand)]
    Image(image::Command),
    #[command(subcommand)]
    Manifests(manifests::Command),
    Setup(setup::Args),
    Check(check::Args),
    Test(test::Args),
    #[command(subcommand)]
    Bench(bench::Command),
}

impl Command {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => args.run(repo),
            Self::Train(args) => args.run(repo),
            Self::Data(command) => command.run(repo),
            Self::Probes(args) => args.run(repo),
            Self::Image(command) => command.run(repo),
            Self::Manifests(command) => command.run(repo),
            Self::Setup(args) => setup::run(args, repo),
            Self::Check(args) => args.run(repo),
            Self::Test(args) => args.run(repo),
            Self::Bench(command) => command.run(repo),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_lists_every_command_and_no_other() {
        let listed: Vec<&str> = HELP
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let cli = Cli::command();
        let commands: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(listed, commands);
    }
}
