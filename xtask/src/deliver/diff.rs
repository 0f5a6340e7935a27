//! `diff`: what main has for an environment that was not verified yet.

use gitops::environment::{BASE, COMPONENTS};
use gitops::pin::Pinned;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::remote::{Remote, environment};
use crate::repo::Repo;
use crate::report::{data, step};
use crate::tools::git;

/// What changed for an environment since it was last verified
///
/// The pin, the commits that changed its configuration, and the text of both.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Name of an environment
    environment: String,
    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.diff(repo))
    }

    fn diff(&self, repo: &Repo) -> Result<(), Stop> {
        let snapshot = self.remote.snapshot(repo)?;
        let environment = environment(&snapshot, &self.environment)?;
        let history = snapshot.history(&environment);
        let Some(head) = history.head() else {
            let none = anyhow::anyhow!("{environment} has no history");
            return Err(Stop::new(Ending::Findings, none, "cargo xtask status"));
        };
        let now = history.pinned(head);
        if let Pinned::Unreadable { reason, .. } = &now {
            step(format_args!("{} was edited by hand: {reason}", environment.pin_file()));
        }
        let Some(good) = history.last_verified() else {
            data(format_args!("{environment}: {now}, and nothing was ever verified"));
            return Ok(());
        };
        if good.commit == head.commit {
            data(format_args!("{environment}: {now} is verified, and nothing changed since"));
            return Ok(());
        }
        data(format_args!("{environment}: {} -> {now}", history.pinned(good)));
        for change in history.changes().iter().filter(|change| change.position > good.position) {
            if change.is_rendered() {
                data(format_args!("- {} {}", change.commit.short(), change.title));
            }
        }
        let text = git::plumbing(repo.root()).args(["diff", "--no-color", "--no-ext-diff"]);
        let text = text.args([good.commit.to_string(), head.commit.to_string()]).arg("--");
        let text = text.args([BASE, COMPONENTS, &environment.overlay()]).bytes()?;
        data("");
        data(String::from_utf8_lossy(&text).trim_end());
        Ok(())
    }
}
