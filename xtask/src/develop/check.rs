//! `check`: what a reviewer should not have to look for, in a minute.

use crate::develop::suite;
use crate::develop::test::{Install, run_tiers};
use crate::repo::Repo;

/// Formatting, lints, licences, boundaries, generated files
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    install: Install,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let mut tiers = suite::checks(repo);
        tiers.push(suite::libtorch_lint(repo));
        run_tiers(repo, tiers, &self.install)
    }
}
