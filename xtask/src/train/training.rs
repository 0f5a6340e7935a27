//! What `train` does: libtorch, data, trainer, in this order; the trainer takes over the process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use contract::task::Task;

use crate::keep;
use crate::libtorch;
use crate::process::Cmd;
use crate::repo::{LABELLED, POINTER, Repo, read_task};
use crate::report::{WithHint, step};
use crate::tools::cargo;
use crate::tools::git::{self, Head};
use crate::train::data::{self, Dataset};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// `quick` (seconds), `release` (minutes, the best), or a file like those in model/recipes
    #[arg(long, default_value = "release", value_name = "quick|release|FILE")]
    #[arg(value_parser = recipe)]
    pub(crate) recipe: String,
    /// The task's own data by name, or `synthetic` [default: its own; synthetic if no mirror answers]
    #[arg(long, value_name = "NAME|synthetic")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) source: data::Source,
    /// Same seed and threads, on the same kind of processor, give the same weights
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads to compute with [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Artifact folder [default: artifacts/<data>-<model version>]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continue the newest interrupted training of the same recipe, data and seed
    #[arg(long)]
    pub(crate) resume: bool,
    /// What to compute on
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "cuda", "mps"])]
    pub(crate) device: String,
    /// Where artifacts and run records go, if not into the checkout.
    #[arg(skip)]
    pub(crate) within: Option<PathBuf>,
    /// Without what callers labelled, whatever the checkout has of it.
    #[arg(skip)]
    pub(crate) unlabelled: bool,
    /// Labelled pictures, if not those that Git says.
    #[arg(skip)]
    pub(crate) labelled: Option<PathBuf>,
}

/// A typo is told at once, not after minutes of providing what a training needs.
pub(crate) fn recipe(name: &str) -> Result<String, String> {
    let is_known = ["quick", "release"].contains(&name) || Path::new(name).is_file();
    is_known
        .then(|| name.to_owned())
        .ok_or_else(|| "neither `quick`, `release` nor a file".to_owned())
}

impl Args {
    /// As the command's defaults are, whatever the data.
    pub(crate) fn of(recipe: &str, source: data::Source) -> Self {
        Self {
            recipe: recipe.to_owned(),
            data: None,
            source,
            seed: 0,
            threads: None,
            out: None,
            resume: false,
            device: "cpu".to_owned(),
            within: None,
            unlabelled: false,
            labelled: None,
        }
    }

    /// The trainer's command, once all it needs is there.
    pub(crate) fn trainer(self, repo: &Repo) -> anyhow::Result<Cmd> {
        self.trainer_at(repo, git::head(repo))
    }

    /// As [`trainer`](Self::trainer), of what its artifact says that it came from.
    pub(crate) fn trainer_at(self, repo: &Repo, head: Option<Head>) -> anyhow::Result<Cmd> {
        let Self { threads, out, resume, within, labelled, unlabelled, .. } = self;
        let task_file = self.source.task.path(repo);
        let task = read_task(&task_file)?;
        let dataset =
            data::provide(repo, &task, self.data.as_deref(), self.source.mirror.as_deref())?;
        let also = match labelled {
            _ if unlabelled => None,
            Some(folder) => takes_labelled(repo, &task, &dataset)?.then_some(folder),
            None => also(repo, &task, &dataset)?,
        };
        libtorch::ensure(repo)?;
        step("building the trainer");
        let model = cargo::build(repo, "model", "model")?;
        let trainer = Cmd::new(model, &std::env::current_dir()?)
            .arg("train")
            .arg("--task")
            .arg(task_file)
            .args(["--recipe", &self.recipe, "--seed", &self.seed.to_string()])
            .args(["--device", &self.device]);
        let common = Common { dataset, also, head, threads, out, resume, within };
        Ok(common.told_to(trainer, repo))
    }
}

/// What the trainer is told, whatever it is to do.
pub(crate) struct Common {
    pub(crate) dataset: Dataset,
    /// Labelled pictures to train on, too.
    pub(crate) also: Option<PathBuf>,
    /// What the artifact says that it came from.
    pub(crate) head: Option<Head>,
    pub(crate) threads: Option<u16>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) resume: bool,
    pub(crate) within: Option<PathBuf>,
}

impl Common {
    pub(crate) fn told_to(self, trainer: Cmd, repo: &Repo) -> Cmd {
        let (artifacts, runs) = match &self.within {
            Some(folder) => (folder.join("artifacts"), folder.join("runs")),
            None => (repo.artifacts(), repo.runs()),
        };
        let mut trainer = trainer.arg("--artifacts").arg(artifacts).arg("--runs").arg(runs);
        if let Some(folder) = self.also {
            trainer = trainer.arg("--also").arg(folder);
        }
        trainer = trainer.args(learnt_from(self.dataset, self.head));
        if let Some(threads) = self.threads {
            trainer = trainer.args(["--threads", &threads.to_string()]);
        }
        if let Some(out) = self.out {
            trainer = trainer.arg("--out").arg(out);
        }
        if self.resume {
            trainer = trainer.arg("--resume");
        }
        trainer
    }
}

/// What callers labelled, where it is of the data that is trained on.
pub(crate) fn also(repo: &Repo, task: &Task, dataset: &Dataset) -> anyhow::Result<Option<PathBuf>> {
    if takes_labelled(repo, task, dataset)? { labelled(repo) } else { Ok(None) }
}

fn takes_labelled(repo: &Repo, task: &Task, dataset: &Dataset) -> anyhow::Result<bool> {
    let is_own = task.name == read_task(&repo.task_file())?.name;
    Ok(*dataset != Dataset::Synthetic && is_own)
}

/// What callers labelled, as the newest commit has it: the artifact says that it comes from there.
pub(crate) fn labelled(repo: &Repo) -> anyhow::Result<Option<PathBuf>> {
    let pointer = repo.path(POINTER);
    if !pointer.is_file() {
        return Ok(None);
    }
    let here = fs_err::read_to_string(pointer)?;
    if git::head(repo).is_some() && git::committed(repo, POINTER)? != Some(here) {
        let other = anyhow::anyhow!("`{POINTER}` is not what the newest commit has");
        return Err(other)
            .hint("look at the pictures and commit it, or bring it back: git restore, or rm where it is new");
    }
    step("data: pictures that callers labelled");
    keep::data(repo)?.args(["pull", LABELLED]).run()?;
    Ok(Some(repo.path(LABELLED)))
}

/// Where the data is, and the commit to record.
pub(crate) fn learnt_from(dataset: Dataset, head: Option<Head>) -> Vec<OsString> {
    let mut args: Vec<OsString> = match dataset {
        Dataset::Files(folder) => vec!["--data-dir".into(), folder.into()],
        Dataset::Synthetic => vec!["--synthetic".into()],
        Dataset::Folders => Vec::new(),
    };
    if let Some(head) = head {
        args.extend(["--revision".into(), head.revision.into()]);
        if head.dirty {
            args.push("--dirty".into());
        }
    }
    args
}
