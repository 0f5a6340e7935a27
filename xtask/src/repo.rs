//! Where things are: every path of the tree that a command uses has its name here.

use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::task::Task;

use crate::report::WithHint;

/// Pictures that callers labelled. What of them is trained on is what Git has a pointer to.
pub(crate) const LABELLED: &str = "model/data/feedback";
/// What Git gets of them.
pub(crate) const POINTER: &str = "model/data/feedback.dvc";

pub(crate) struct Repo {
    root: PathBuf,
    /// Of what commands make and Git does not keep.
    home: PathBuf,
}

impl Repo {
    /// The checkout around the working directory; outside of any, the one `xtask` was built from.
    pub(crate) fn here() -> Self {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        let around = std::env::current_dir().ok().and_then(|dir| {
            dir.ancestors().find(|dir| dir.join("xtask/Cargo.toml").is_file()).map(Path::to_owned)
        });
        let root = around.unwrap_or_else(|| built_from.parent().unwrap_or(built_from).to_owned());
        Self::at(&root)
    }

    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), home: root.to_owned() }
    }

    pub(crate) fn with_home(self, home: &Path) -> anyhow::Result<Self> {
        // Programs are started in folders of their own.
        let home =
            std::path::absolute(home).with_context(|| format!("`{}` as a home", home.display()))?;
        Ok(Self { home, ..self })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The link that `.cargo/config.toml` names as `LIBTORCH`.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.path(".libtorch")
    }

    pub(crate) fn task_file(&self) -> PathBuf {
        self.path("model/task.yaml")
    }

    /// Files of the data set `name`, not in Git.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.home.join("model/data").join(name)
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.home.join("artifacts")
    }

    /// Link to the artifact trained last.
    pub(crate) fn latest_artifact(&self) -> PathBuf {
        self.artifacts().join("latest")
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.home.join("runs")
    }

    /// Of searches for a better recipe, each in a folder of its name.
    pub(crate) fn studies(&self) -> PathBuf {
        self.home.join("studies")
    }

    /// What may ship.
    pub(crate) fn gate(&self) -> PathBuf {
        self.path("model/gate.yaml")
    }

    pub(crate) fn probes(&self) -> PathBuf {
        self.path("kustomize/base/smoke/probes.json")
    }
}

pub(crate) fn read_task(file: &Path) -> anyhow::Result<Task> {
    let text = fs_err::read_to_string(file)?;
    Task::from_yaml(&text)
        .with_context(|| format!("in `{}`", file.display()))
        .hint("docs/own-model.md describes every field of a task file")
}
