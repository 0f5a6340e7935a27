//! Every command, in one enum.

use std::ffi::OsString;
use std::path::Path;

use clap::{Parser, Subcommand};

use crate::deliver::{
    audit, diff, gate, history, hold, image, manifests, promote, release, rollback, status, watch,
};
use crate::develop::{bench, check, doctor, init, setup, test};
use crate::keep::{self, registry, retrain, tracking, tuning};
use crate::operate::{cluster, demo, drill, serve, visit};
use crate::repo::Repo;
use crate::train::{data, probes};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, help_template = HELP)]
/// Ship a machine-learning model with Git as the only control plane
pub(crate) struct Cli {
    /// Keep data, artifacts and run records here [default: the checkout]
    #[arg(long, env = "XTASK_HOME", global = true, value_name = "DIR")]
    home: Option<OsString>,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut repo = Repo::here();
        // Set to nothing, a variable is as good as not set.
        if let Some(home) = self.home.filter(|home| !home.is_empty()) {
            repo = repo.with_home(Path::new(&home))?;
        }
        self.command.run(&repo)
    }
}

/// clap lists commands in one run; five questions bring people here. A test keeps this complete.
const HELP: &str = "\
{about}

{usage-heading} {usage}

Train and look:
  demo      Play the whole loop on this machine: release, crash, wrong model, fix-forward
  serve     Do all that is missing, then serve the newest model on 127.0.0.1:8000
  visit     Keep asking a service labelled pictures, and count what comes back
  train     Train a model and print its artifact folder
  compress  Make a smaller model out of a trained one, and compare both
  data      Fetch the training data; version data in DVC's formats, and prove that it is whole
  probes    Cut labelled probes for smoke tests

Deliver:
  gate        Judge whether a model may ship
  image       Build the service's image, prove that it answers, and say what is in it
  manifests   Render and check what the environments run
  release     Let an environment run a model: gate, image, smoke test, one commit
  promote     Let one environment run what another one has verified
  rollback    Bring back what was verified before, by hand or by a report
  deployed    Handle the report of a deployment
  watch       Wait for a verdict, and report it when there is none
  freeze      Stop machines from moving an environment
  unfreeze    Let machines move an environment again
  quarantine  Images that were tried and found wrong, and may run nowhere
  status      What every environment runs by Git, and whether it was found good
  history     What an environment ran, newest first
  diff        What changed for an environment since it was last verified
  audit       Whether what main says of itself is true
  cluster     Bootstrap Argo CD, and look at what runs where main says

Keep:
  runs      What was trained here: all runs, one, or several beside each other
  track     Send runs to an MLflow server: parameters, metrics, data, Git's commit, artifact, status and times
  registry  Make MLflow's aliases `champion` and `previous` say what main says
  tune      Look for a better recipe, by validation images alone, and say whether it is one
  drift     Whether live inputs and predictions are still like those the model was tested on
  features  What was predicted, as Parquet by day that Feast can read
  feedback  Turn what callers said that pictures really were into pictures to train on
  retrain   Train anew on what main describes and callers labelled; what passes the gate becomes a branch to merge
  drill     Lose something on a scratch copy, get it back, and time it

Develop:
  init    Make a fork your own: repository, image and namespaces
  doctor  Say what is there, what is missing, and how to get it
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
    Demo(demo::Args),
    Serve(serve::Args),
    Visit(visit::Args),
    Train(tracking::Training),
    Compress(tracking::Compression),
    #[command(subcommand)]
    Data(data::Command),
    Probes(probes::Args),
    Gate(gate::Args),
    #[command(subcommand)]
    Image(image::Command),
    #[command(subcommand)]
    Manifests(manifests::Command),
    Release(release::Args),
    Promote(promote::Args),
    Rollback(rollback::Args),
    Deployed(rollback::DeployedArgs),
    Watch(watch::Args),
    Freeze(hold::FreezeArgs),
    Unfreeze(hold::UnfreezeArgs),
    #[command(subcommand)]
    Quarantine(hold::Quarantine),
    Status(status::Args),
    History(history::Args),
    Diff(diff::Args),
    Audit(audit::Args),
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// What was trained here: all runs, one, or several beside each other
    Runs(keep::Passed),
    /// Send runs to an MLflow server: parameters, metrics, data, Git's commit, artifact, status and times
    Track(keep::Passed),
    Registry(registry::Args),
    Tune(tuning::Args),
    /// Whether live inputs and predictions are still like those the model was tested on
    Drift(keep::Passed),
    /// What was predicted, as Parquet by day that Feast can read
    Features(keep::Passed),
    /// Turn what callers said that pictures really were into pictures to train on
    Feedback(keep::Passed),
    Retrain(Box<retrain::Args>),
    Drill(drill::Args),
    Init(init::Args),
    Doctor(doctor::Args),
    Setup(setup::Args),
    Check(check::Args),
    Test(test::Args),
    #[command(subcommand)]
    Bench(bench::Command),
}

impl Command {
    fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Demo(args) => args.run(repo),
            Self::Serve(args) => args.run(repo),
            Self::Visit(args) => args.run(repo),
            Self::Train(args) => args.run(repo),
            Self::Compress(args) => args.run(repo),
            Self::Data(command) => command.run(repo),
            Self::Probes(args) => args.run(repo),
            Self::Gate(args) => args.run(repo),
            Self::Image(command) => command.run(repo),
            Self::Manifests(command) => command.run(repo),
            Self::Release(args) => args.run(repo),
            Self::Promote(args) => args.run(repo),
            Self::Rollback(args) => args.run(repo),
            Self::Deployed(args) => args.run(repo),
            Self::Watch(args) => args.run(repo),
            Self::Freeze(args) => args.run(repo),
            Self::Unfreeze(args) => args.run(repo),
            Self::Quarantine(command) => command.run(repo),
            Self::Status(args) => args.run(repo),
            Self::History(args) => args.run(repo),
            Self::Diff(args) => args.run(repo),
            Self::Audit(args) => args.run(repo),
            Self::Cluster(command) => command.run(repo),
            Self::Drift(passed) => passed.run(repo, "drift"),
            Self::Features(passed) => passed.run(repo, "features"),
            Self::Feedback(passed) => passed.run(repo, "feedback"),
            Self::Retrain(args) => args.run(repo),
            Self::Runs(passed) => passed.run(repo, "runs"),
            Self::Track(passed) => passed.run(repo, "track"),
            Self::Registry(args) => args.run(repo),
            Self::Tune(args) => args.run(repo),
            Self::Drill(args) => args.run(repo),
            Self::Init(args) => args.run(repo),
            Self::Doctor(args) => args.run(repo),
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
    fn a_typo_is_told_before_anything_is_fetched_or_built() {
        for (line, told) in [
            ("train --recipe fast", "neither `quick`, `release` nor a file"),
            ("train --device gpu", "[possible values: cpu, cuda, mps]"),
            ("train --threads 0", "0 is not in 1..=1024"),
            ("compress", "<--prune <SHARE>|--int8>"),
            ("compress --prune 1", "not above 0 and below 1"),
            ("compress --prune nan", "not above 0 and below 1"),
            ("compress --int8 --epochs 2", "--prune <SHARE>"),
            ("bench train --recipe fast", "neither `quick`, `release` nor a file"),
            ("bench train --seeds 0", "0 is not in 1.."),
            ("probes --from tset", "[possible values: test, synthetic]"),
            ("probes --count 99999999", "not in 1..=10000"),
        ] {
            let parsed = Cli::try_parse_from(["xtask"].into_iter().chain(line.split(' ')));
            let error = parsed.map(drop).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_home_set_to_nothing_is_as_good_as_none() {
        let line = ["xtask", "--home", "", "data", "verify"];
        assert_eq!(Cli::try_parse_from(line).unwrap().home.as_deref(), Some("".as_ref()));
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
