//! `check`: what a reviewer should not have to look for.

use clap::value_parser;

use crate::develop::suite::Suite;
use crate::develop::test::{Install, run_tiers};
use crate::repo::Repo;
use crate::report::step;

/// Formatting, lints, licences, boundaries, generated files
///
/// A generated file that its program would write otherwise today fails: tests/golden/*.yaml in the row
/// `manifests`, app/openapi.json in the row `generated`, which builds the service and so needs libtorch.
/// With `UPDATE_EXPECT=1` in the environment both are written anew, to be looked at as a diff.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also look for inputs that break a promise, with libFuzzer: so many seconds for each target
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "20", value_parser = value_parser!(u32).range(1..))]
    fuzz: Option<u32>,
    #[command(flatten)]
    install: Install,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let suite = Suite { repo, slow: false };
        let mut tiers = suite.checks();
        tiers.extend(suite.libtorch_checks());
        match self.fuzz {
            Some(seconds) => tiers.push(suite.fuzz(seconds)?),
            None => step("fuzz: not asked for; `--fuzz` asks for it"),
        }
        run_tiers(repo, &tiers, &[], &self.install)
    }
}
