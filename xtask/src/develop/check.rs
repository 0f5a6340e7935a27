//! `check`: what a reviewer should not have to look for.

use crate::develop::suite;
use crate::develop::test::{Install, run_tiers};
use crate::repo::Repo;

/// Formatting, lints, licences, boundaries, generated files
///
/// A generated file that its program would write otherwise today fails: tests/golden/*.yaml in the row
/// `manifests`, app/openapi.json in the row `generated`, which builds the service and so needs libtorch.
/// With `UPDATE_EXPECT=1` in the environment both are written anew, to be looked at as a diff.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    install: Install,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let mut tiers = suite::checks(repo);
        tiers.extend(suite::libtorch_checks(repo));
        run_tiers(repo, tiers, &self.install)
    }
}
