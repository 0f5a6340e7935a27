//! [`Stage`]: a repository of its own with everything that a fork has, a remote, a clone, and a folder
//! for images. All in one folder, gone at the end unless it is kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use contract::atomic::is_running;
use contract::task::Generator;
use fs_err as fs;
use gitops::environment::{Environment, HOLDS, SIGNING};
use gitops::pin::Pin;
use serde_yaml::{Mapping, Value};

use crate::deliver::remote::{Publication, Remote};
use crate::deliver::store::Store;
use crate::repo::Repo;
use crate::report::{WithHint, step};
use crate::tools;

pub(super) struct Stage {
    folder: tempfile::TempDir,
}

/// A rollout that does not succeed is given up after this long; the shipped base waits for minutes.
const PROGRESS_DEADLINE_SECONDS: u64 = 12;

/// Of its folder's name, before the id of the process that made it.
const PREFIX: &str = "mnist-api-demo-";
/// A file in a folder that is meant to stay.
const KEPT: &str = "kept";

impl Stage {
    /// What the checkout's newest commit holds, as the first commit of a repository that never released.
    pub(super) fn set(repo: &Repo) -> anyhow::Result<Self> {
        let temp = std::env::temp_dir();
        remove_orphans(&temp)?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(temp);
        let stage = Self { folder: folder.context("making a folder to play in")? };
        ensure!(tools::git::head(repo).is_some(), "the demo plays with a copy of a Git repository");
        tools::git::export(repo.root(), "HEAD", &stage.clone())?;
        // Images in a folder cannot be signed.
        match fs::remove_file(stage.clone().join(SIGNING)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        git(stage.path(), &["init", "--quiet", "--bare", "-b", "main", "main.git"])?;
        git(&stage.clone(), &["init", "--quiet", "-b", "main"])?;
        for (name, value) in [("user.name", "Demo"), ("user.email", "demo@example.org")] {
            git(&stage.clone(), &["config", name, value])?;
        }
        let remote = stage.remote().display().to_string();
        git(&stage.clone(), &["remote", "add", "origin", &remote])?;
        Ok(stage)
    }

    /// Commits what is in the clone's work tree, which only a person does.
    pub(super) fn commit(&self, title: &str) -> anyhow::Result<()> {
        git(&self.clone(), &["add", "--all", "--force", "."])?;
        git(&self.clone(), &["commit", "--quiet", "-m", title])?;
        git(&self.clone(), &["push", "--quiet", "origin", "main"])
    }

    /// Never released, and quicker to give up than a cluster should be.
    pub(super) fn prepare(&self, environment: &Environment) -> anyhow::Result<()> {
        let clone = self.clone();
        fs::write(clone.join(environment.pin_file()), Pin::unreleased_yaml())?;
        if clone.join(HOLDS).exists() {
            fs::remove_file(clone.join(HOLDS))?;
        }
        let file = clone.join(environment.overlay()).join("kustomization.yaml");
        let mut overlay: Mapping = serde_yaml::from_str(&fs::read_to_string(&file)?)
            .with_context(|| format!("in `{}`", file.display()))?;
        let patch: Value = serde_yaml::from_str(&format!(
            "target: {{ kind: Deployment }}\npatch: |-\n  - op: add\n    \
             path: /spec/progressDeadlineSeconds\n    value: {PROGRESS_DEADLINE_SECONDS}\n"
        ))?;
        let patches = overlay.entry("patches".into()).or_insert(Value::Sequence(Vec::new()));
        patches.as_sequence_mut().context("`patches` is no list")?.push(patch);
        Ok(fs::write(&file, serde_yaml::to_string(&overlay)?)?)
    }

    /// The shipped policy, but for two things: which of two good seeds has more luck is not to decide
    /// here, and where the data is not, models of generated pictures may ship.
    pub(super) fn adapt_policy(&self, generator: Option<Generator>) -> anyhow::Result<()> {
        let file = self.policy();
        let mut policy: Mapping = serde_yaml::from_str(&fs::read_to_string(&file)?)
            .with_context(|| format!("in `{}`", file.display()))?;
        policy.insert("champion_significance".into(), 0.001.into());
        if let Some(generator) = generator {
            let data = policy.get_mut("data").and_then(Value::as_sequence_mut);
            data.context("the policy has no list of data")?.push(generator.data_name().into());
        }
        Ok(fs::write(&file, serde_yaml::to_string(&policy)?)?)
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn clone(&self) -> PathBuf {
        self.path().join("clone")
    }

    pub(super) fn remote(&self) -> PathBuf {
        self.path().join("main.git")
    }

    pub(super) fn policy(&self) -> PathBuf {
        self.clone().join("model/gate.yaml")
    }

    pub(super) fn publication(&self) -> Publication {
        Publication {
            remote: Remote::of(&self.clone()),
            store: Store { layout: Some(self.path().join("images")) },
            dry_run: false,
        }
    }

    /// Main as Git tells it, newest first.
    pub(super) fn log(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let log = tools::git::plumbing(&self.remote()).arg("log").args(arguments).arg("main");
        Ok(String::from_utf8_lossy(&log.bytes()?).into_owned())
    }

    pub(super) fn keep(self) -> anyhow::Result<PathBuf> {
        fs::write(self.path().join(KEPT), "")?;
        Ok(self.folder.keep())
    }
}

/// A gigabyte that a demo left when it was killed is not for the next one to wonder at.
fn remove_orphans(temp: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(temp)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !is_running(pid) && !path.join(KEPT).exists() {
            step(format_args!("removing what a demo left that was killed: {}", path.display()));
            // Somebody else's, perhaps; whatever it is, it is no reason not to play.
            if let Err(error) = fs::remove_dir_all(&path) {
                step(error);
            }
        }
    }
    Ok(())
}

fn git(dir: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let git = tools::git::plumbing(dir).args(arguments);
    git.run().hint("the demo needs git 2.28 or newer")
}
