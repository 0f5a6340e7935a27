//! [`Program`]: the service without a model, known by the commit that last changed what it is built from.

use anyhow::Context;

use crate::repo::Repo;
use crate::report::WithHint;
use crate::tools::git;

/// What the image is built from besides the model.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Commit that last changed it.
    pub(crate) revision: String,
    pub(crate) dirty: bool,
    /// Told apart from others of the same commit.
    name: Option<String>,
}

impl Program {
    pub(crate) fn of(repo: &Repo) -> anyhow::Result<Self> {
        let content = content(repo)?;
        let revision = git::last_change(repo, &content)
            .context("the commit that the image is made from cannot be told")
            .hint("build in a Git checkout with its whole history: `git fetch --unshallow`")?;
        Ok(Self { revision, dirty: git::differs(repo, &content)?, name: None })
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    pub(crate) fn version(&self) -> String {
        let dirty = if self.dirty { "-dirty" } else { "" };
        let name = self.name.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
        format!("{}-{}{dirty}{name}", env!("CARGO_PKG_VERSION"), &self.revision[..12])
    }
}

/// What `.dockerignore` lets into the build, and itself, as paths for Git.
fn content(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let text = fs_err::read_to_string(repo.path(".dockerignore"))?;
    let path = |line: &str| match line.strip_prefix('!') {
        Some(allowed) => Some(allowed.to_owned()),
        None if line.is_empty() || line.starts_with('#') || line == "*" => None,
        None => Some(format!(":(exclude){line}")),
    };
    let own = ["Dockerfile", ".dockerignore"].map(str::to_owned);
    Ok(text.lines().filter_map(path).chain(own).collect())
}
