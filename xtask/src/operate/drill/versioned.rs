//! [`Versioned`]: the task's data in the scratch clone, versioned, with a remote of files beside it.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, ensure};
use contract::artifact::Artifact;
use contract::task::Task;
use fs_err as fs;

use crate::keep;
use crate::operate::rehearsal::demand_uninterrupted;
use crate::operate::rehearsal::stage::Stage;
use crate::process::Cmd;
use crate::repo::{Repo, read_task};
use crate::report::WithHint;
use crate::train::data::{Source, TaskFile};
use crate::train::training;

pub(super) struct Versioned {
    /// Programs of the checkout; data and models of the clone.
    repo: Repo,
    clone: PathBuf,
    remote: PathBuf,
    /// What was sent to it, in the words of `data push`.
    pub(super) pushed: String,
    task: Task,
    /// What is versioned, below the clone.
    paths: Vec<String>,
}

const CACHE: &str = ".dvc/cache";

impl Versioned {
    /// Copies the checkout's data, commits its pointers and pushes both.
    pub(super) fn begin(repo: &Repo, stage: &Stage) -> anyhow::Result<Self> {
        let clone = stage.clone();
        let task = read_task(&repo.task_file())?;
        let paths = paths(&task)?;
        let remote = stage.path().join("remote");
        for path in &paths {
            let from =
                if task.data.folders.is_some() { repo.path(path) } else { repo.home().join(path) };
            copy(&from, &clone.join(path))?;
        }
        let home = Repo::at(repo.root()).with_home(&clone)?;
        let mut versioned = Self { repo: home, clone, remote, pushed: String::new(), task, paths };
        versioned.data("add")?.run()?;
        let url = versioned.remote.display();
        let settings =
            format!("[core]\n    remote = drill\n['remote \"drill\"']\n    url = {url}\n");
        fs::write(versioned.clone.join(".dvc/config"), settings)?;
        stage.commit("The data is versioned")?;
        let pushed = versioned.data("push")?.read()?;
        pushed.trim_end().clone_into(&mut versioned.pushed);
        Ok(versioned)
    }

    /// Both copies that the clone has.
    pub(super) fn lose(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.clone.join(CACHE))?;
        for path in &self.paths {
            fs::remove_dir_all(self.clone.join(path))?;
        }
        ensure!(!self.data("verify")?.succeeds(), "nobody notices that the data is gone");
        Ok(())
    }

    pub(super) fn lose_remote(&self) -> anyhow::Result<()> {
        Ok(fs::remove_dir_all(&self.remote)?)
    }

    pub(super) fn pull(&self) -> anyhow::Result<()> {
        self.data("pull")?.run().context("the data does not come back")
    }

    /// Every content is read and compared with what Git says it is.
    pub(super) fn verify(&self) -> anyhow::Result<()> {
        self.data("verify")?.run()
    }

    /// The `quick` model of the data that is there, and of no other.
    pub(super) fn train(&self) -> anyhow::Result<Artifact> {
        let nowhere = self.clone.join(".dvc/tmp").display().to_string();
        let source = Source {
            task: TaskFile { file: Some(self.clone.join("model/task.yaml")) },
            mirror: self.task.data.folders.is_none().then_some(nowhere),
        };
        let training = training::Args {
            data: Some(self.task.data.name.clone()),
            unlabelled: true,
            ..training::Args::of("quick", source)
        };
        demand_uninterrupted()?;
        let folder = training.trainer(&self.repo)?.at(&self.clone).tied_to_us().read()?;
        Artifact::open(Path::new(folder.trim_end())).context("what was trained just now")
    }

    fn data(&self, command: &str) -> anyhow::Result<Cmd> {
        demand_uninterrupted()?;
        // Whatever else a fork versions is on its own remotes.
        Ok(keep::mlops(&self.repo)?.at(&self.clone).args(["data", command]).args(&self.paths))
    }
}

/// Below the checkout, and so below its clones.
fn paths(task: &Task) -> anyhow::Result<Vec<String>> {
    let data = &task.data;
    let paths = match &data.folders {
        Some(folders) => vec![folders.train.clone(), folders.test.clone()],
        None if data.files().is_empty() => Vec::new(),
        None => vec![format!("model/data/{}", data.name)],
    };
    ensure!(
        !paths.is_empty(),
        "the task `{}` has no data of its own that could be lost",
        task.name
    );
    for path in &paths {
        let leaves = Path::new(path).components().any(|part| !matches!(part, Component::Normal(_)));
        ensure!(!leaves, "`{path}` is not below the checkout, where data is versioned");
    }
    Ok(paths)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return Err(anyhow::anyhow!(
            "`{}` is not here, and the drill plays with a copy of it",
            from.display()
        ))
        .hint("`cargo xtask data fetch` gets the task's files");
    }
    let parent = to.parent().context("a path below the clone")?;
    fs::create_dir_all(parent)?;
    Cmd::new("cp", parent).arg("-R").arg(from).arg(to).run()
}
