//! [`Labelled`]: pictures that callers labelled, added to those that main has. That happens in a folder of its own, which
//! shares cache and remote with the checkout, so however it ends, the checkout's pictures are those that Git says.

use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;
use fs_err::os::unix::fs::symlink;
use tempfile::TempDir;

use crate::keep;
use crate::repo::{LABELLED, POINTER, Repo};
use crate::report::{WithHint, data};
use crate::tools::git;

#[derive(clap::Args)]
pub(super) struct Labelled {
    /// Logs of the service, oldest first: what callers labelled since the last time
    #[arg(long, num_args = 1.., requires = "records", value_name = "LOG")]
    pub(super) feedback: Vec<PathBuf>,
    /// Records of the service with the pixels that it sampled; the gate replays them
    #[arg(long, num_args = 1.., requires = "feedback", value_name = "LOG")]
    pub(super) records: Vec<PathBuf>,
    /// Most pictures that one caller may label
    #[arg(long, requires = "feedback", value_name = "N")]
    per_client: Option<usize>,
    /// Most pictures of a class, as a share of what the champion was trained on of each class on average
    #[arg(long, requires = "feedback", value_name = "SHARE")]
    share: Option<f64>,
}

pub(super) struct Gathered {
    /// What became of the labels, in Markdown.
    pub(super) told: String,
    /// What Git gets of the pictures.
    pub(super) pointer: String,
    workspace: TempDir,
}

impl Labelled {
    /// None where there is nothing to gather, or no picture came of it and main has none either. `on_main` is main's
    /// pointer.
    pub(super) fn gather(
        &self,
        repo: &Repo,
        on_main: Option<String>,
        against: &str,
        champion: impl FnOnce() -> anyhow::Result<Option<Artifact>>,
    ) -> anyhow::Result<Option<Gathered>> {
        if self.feedback.is_empty() {
            return Ok(None);
        }
        if !repo.path(".dvc/config").is_file() {
            return Err(anyhow::anyhow!("nothing says where labelled pictures are kept"))
                .hint("`cargo xtask data push --help` describes .dvc/config; commit it");
        }
        let Some(champion) = champion()? else {
            return Err(anyhow::anyhow!("`{against}` runs no verified model, which callers could label"))
                .hint("`--against ENV` names the environment whose callers they are: `cargo xtask status`");
        };
        let workspace = workspace(repo)?;
        let [folder, pointer] = [LABELLED, POINTER].map(|path| workspace.path().join(path));
        if let Some(on_main) = on_main {
            fs_err::create_dir_all(folder.parent().unwrap_or(&folder))?;
            fs_err::write(&pointer, on_main)?;
            keep::data(repo)?.at(workspace.path()).args(["pull", LABELLED]).run()?;
        }
        let mut feedback = keep::mlops(repo)?.args(["feedback", "--model"]).arg(champion.path());
        feedback = feedback.arg("--out").arg(&folder);
        feedback =
            feedback.arg("--feedback").args(&self.feedback).arg("--records").args(&self.records);
        if let Some(most) = self.per_client {
            feedback = feedback.args(["--per-client", &most.to_string()]);
        }
        if let Some(share) = self.share {
            feedback = feedback.args(["--share", &share.to_string()]);
        }
        let told = feedback.read().context("gathering what callers labelled")?;
        let told = told.trim_end().to_owned();
        data(&told);
        if !folder.is_dir() {
            return Ok(None);
        }
        keep::data(repo)?.at(workspace.path()).args(["add", LABELLED]).run()?;
        let pointer = fs_err::read_to_string(pointer)?;
        Ok(Some(Gathered { told, pointer, workspace }))
    }
}

impl Gathered {
    /// All of the pictures, one folder per class.
    pub(super) fn folder(&self) -> PathBuf {
        self.workspace.path().join(LABELLED)
    }

    /// Where a branch says that they are.
    pub(super) fn push(&self, repo: &Repo) -> anyhow::Result<()> {
        keep::data(repo)?.at(self.workspace.path()).args(["push", LABELLED]).run()
    }
}

fn workspace(repo: &Repo) -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir().context("making a folder for labelled pictures")?;
    symlink(fs_err::canonicalize(repo.path(".dvc"))?, folder.path().join(".dvc"))?;
    git::plumbing(folder.path()).args(["init", "--quiet", "."]).bytes()?;
    Ok(folder)
}
