//! git, read-only so far: what the work tree is at.

use crate::process::Cmd;
use crate::repo::Repo;

pub(crate) struct Head {
    pub(crate) revision: String,
    /// Tracked files differ from the commit.
    pub(crate) dirty: bool,
}

/// `None` outside a Git repository, or before its first commit.
pub(crate) fn head(repo: &Repo) -> Option<Head> {
    let revision = git(repo).args(["rev-parse", "--verify", "--quiet", "HEAD"]).read().ok()?;
    let status = git(repo).args(["status", "--porcelain", "--untracked-files=no"]).read().ok()?;
    Some(Head { revision: revision.trim().to_owned(), dirty: !status.is_empty() })
}

fn git(repo: &Repo) -> Cmd {
    Cmd::new("git", repo.root()).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C")
}
