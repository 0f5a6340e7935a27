//! [`Stage`]: a repository of its own with everything that a fork has, a remote, a clone, and a folder
//! for images. All in one folder, gone at the end unless it is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
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

pub(in crate::operate) struct Stage {
    folder: tempfile::TempDir,
    /// Where main lives.
    remote: String,
    store: Store,
}

/// Of its folder's name, before the id of the process that made it.
const PREFIX: &str = "mnist-api-demo-";
const IMAGES: &str = "images";
const CLONE: &str = "clone";
/// A file in a folder that is meant to stay.
const KEPT: &str = "kept";

impl Stage {
    /// With a remote and images of its own, in the same folder.
    pub(in crate::operate) fn at_home(repo: &Repo) -> anyhow::Result<Self> {
        let folder = open()?;
        let bare = folder.path().join("main.git");
        git(folder.path(), &["init", "--quiet", "--bare", "-b", "main", "main.git"])?;
        let store = Store { layout: Some(folder.path().join(IMAGES)) };
        Self::set(repo, folder, &bare.display().to_string(), store)
    }

    /// With a remote that is there and empty, and images in a registry.
    pub(in crate::operate) fn away(repo: &Repo, remote: &str) -> anyhow::Result<Self> {
        Self::set(repo, open()?, remote, Store { layout: None })
    }

    /// What the checkout's newest commit holds, as the first commit of a repository that never released.
    fn set(
        repo: &Repo,
        folder: tempfile::TempDir,
        remote: &str,
        store: Store,
    ) -> anyhow::Result<Self> {
        let stage = Self { folder, remote: remote.to_owned(), store };
        if tools::git::head(repo).is_none() {
            let root = repo.root().display();
            let nothing =
                anyhow::anyhow!("`{root}` has no commit, and a copy of the newest is played with");
            return Err(nothing)
                .hint("clone the repository, or begin one: git init, git add, git commit");
        }
        tools::git::export(repo.root(), "HEAD", &stage.clone())?;
        // Images in a folder cannot be signed, and nobody here has the key for others.
        match fs::remove_file(stage.clone().join(SIGNING)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        git(&stage.clone(), &["init", "--quiet", "-b", "main"])?;
        for (name, value) in [("user.name", "Demo"), ("user.email", "demo@example.org")] {
            git(&stage.clone(), &["config", name, value])?;
        }
        git(&stage.clone(), &["remote", "add", "origin", remote])?;
        Ok(stage)
    }

    /// The first commit: what the checkout's newest one has, even of that what Git would ignore.
    pub(in crate::operate) fn begin(&self) -> anyhow::Result<()> {
        git(&self.clone(), &["add", "--all", "--force", "."])?;
        self.commit("A fork begins")
    }

    /// Commits what is in the clone's work tree, which only a person does.
    pub(in crate::operate) fn commit(&self, title: &str) -> anyhow::Result<()> {
        git(&self.clone(), &["add", "--all", "."])?;
        git(&self.clone(), &["commit", "--quiet", "-m", title])?;
        git(&self.clone(), &["push", "--quiet", "origin", "main"])
    }

    /// As whoever lost it gets it: what main says.
    pub(in crate::operate) fn clone_again(&self) -> anyhow::Result<()> {
        git(self.path(), &["clone", "--quiet", &self.remote, CLONE])
    }

    /// Never released, and quicker to give up than a cluster should be: a rollout that makes no progress is
    /// given up after this long; the shipped base waits for minutes.
    pub(in crate::operate) fn prepare(
        &self,
        environment: &Environment,
        progress_deadline: Duration,
    ) -> anyhow::Result<()> {
        let clone = self.clone();
        fs::write(clone.join(environment.pin_file()), Pin::unreleased_yaml())?;
        if clone.join(HOLDS).exists() {
            fs::remove_file(clone.join(HOLDS))?;
        }
        let path = "/spec/progressDeadlineSeconds";
        self.patch(environment, "Deployment", path, &progress_deadline.as_secs().to_string())
    }

    /// Where no addresses are handed out, nobody waits for one.
    pub(in crate::operate) fn keep_inside(&self, environment: &Environment) -> anyhow::Result<()> {
        self.patch(environment, "Service", "/spec/type", "ClusterIP")
    }

    fn patch(
        &self,
        environment: &Environment,
        kind: &str,
        field: &str,
        value: &str,
    ) -> anyhow::Result<()> {
        let file = self.clone().join(environment.overlay()).join("kustomization.yaml");
        let mut overlay: Mapping = serde_yaml::from_str(&fs::read_to_string(&file)?)
            .with_context(|| format!("in `{}`", file.display()))?;
        let patch: Value = serde_yaml::from_str(&format!(
            "target: {{ kind: {kind} }}\npatch: |-\n  - op: add\n    path: {field}\n    value: {value}\n",
        ))?;
        let patches = overlay.entry("patches".into()).or_insert(Value::Sequence(Vec::new()));
        patches.as_sequence_mut().context("`patches` is no list")?.push(patch);
        Ok(fs::write(&file, serde_yaml::to_string(&overlay)?)?)
    }

    /// The shipped policy, but for two things: which of two good seeds has more luck is not to decide
    /// here, and where the data is not, models of generated pictures may ship, for which no limits of
    /// robustness were measured.
    pub(in crate::operate) fn adapt_policy(
        &self,
        generator: Option<Generator>,
    ) -> anyhow::Result<()> {
        let file = self.policy();
        let mut policy: Mapping = serde_yaml::from_str(&fs::read_to_string(&file)?)
            .with_context(|| format!("in `{}`", file.display()))?;
        for significance in ["champion_significance", "class_significance"] {
            policy.insert(significance.into(), 0.001.into());
        }
        if let Some(generator) = generator {
            policy.insert("robustness".into(), Mapping::new().into());
            let data = policy.get_mut("data").and_then(Value::as_sequence_mut);
            data.context("the policy has no list of data")?.push(generator.data_name().into());
        }
        Ok(fs::write(&file, serde_yaml::to_string(&policy)?)?)
    }

    pub(in crate::operate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(in crate::operate) fn clone(&self) -> PathBuf {
        self.path().join(CLONE)
    }

    /// Where they live, if not in a registry.
    pub(in crate::operate) fn images(&self) -> PathBuf {
        self.path().join(IMAGES)
    }

    /// Its address, as Git takes it.
    pub(in crate::operate) fn remote(&self) -> &str {
        &self.remote
    }

    pub(in crate::operate) fn policy(&self) -> PathBuf {
        self.clone().join("model/gate.yaml")
    }

    pub(in crate::operate) fn publication(&self) -> Publication {
        Publication {
            remote: Remote::of(&self.clone()),
            store: self.store.clone(),
            dry_run: false,
            onto: None,
        }
    }

    /// Main's newest commit.
    pub(in crate::operate) fn tip(&self) -> anyhow::Result<String> {
        let tips =
            tools::git::plumbing(&self.clone()).args(["ls-remote", "origin", "refs/heads/main"]);
        Ok(String::from_utf8_lossy(&tips.bytes()?).into_owned())
    }

    /// Main as Git tells it, newest first.
    pub(in crate::operate) fn log(&self, arguments: &[&str]) -> anyhow::Result<String> {
        git(&self.clone(), &["fetch", "--quiet", "origin", "main"])?;
        let log = tools::git::plumbing(&self.clone()).arg("log").args(arguments).arg("FETCH_HEAD");
        Ok(String::from_utf8_lossy(&log.bytes()?).into_owned())
    }

    pub(in crate::operate) fn keep(self) -> anyhow::Result<PathBuf> {
        fs::write(self.path().join(KEPT), "")?;
        Ok(self.folder.keep())
    }
}

fn open() -> anyhow::Result<tempfile::TempDir> {
    let temp = std::env::temp_dir();
    remove_orphans(&temp)?;
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(temp);
    folder.context("making a folder to play in")
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
