//! [`Source`]: main as a reconciler follows it, its newest commit and what an overlay renders to there.

use std::path::{Path, PathBuf};

use anyhow::Context;
use gitops::environment::{Environment, ROOT};
use gitops::mainline::MAIN;
use gitops::object_id::CommitId;

use crate::tools::{git, kustomize};

pub(crate) struct Source {
    /// Where everybody pushes to.
    repository: PathBuf,
}

impl Source {
    pub(crate) fn new(repository: &Path) -> Self {
        Self { repository: repository.to_owned() }
    }

    pub(super) fn head(&self) -> anyhow::Result<CommitId> {
        let head = git::plumbing(&self.repository).args(["rev-parse", "--verify", MAIN]).bytes()?;
        Ok(String::from_utf8_lossy(&head).trim().parse()?)
    }

    /// The manifests of one environment at a commit, or what kustomize has against them.
    pub(crate) fn render(
        &self,
        commit: CommitId,
        environment: &Environment,
    ) -> anyhow::Result<Result<String, String>> {
        let folder = tempfile::tempdir().context("making a folder for a tree")?;
        let tree = folder.path().join(ROOT);
        git::export(&self.repository, &format!("{commit}:{ROOT}"), &tree)?;
        let overlay = folder.path().join(environment.overlay());
        if !overlay.is_dir() {
            return Ok(Err(format!("there is no {}", environment.overlay())));
        }
        kustomize::build(&overlay)
    }
}
