//! `data`: the task's files, verified. The trainer is only ever given files that passed here. What versions data is
//! in `mlops`.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};
use contract::task::{RemoteFile, Task};

use crate::download::{self, DownloadError, Mirror};
use crate::keep::{self, Passed};
use crate::repo::{Repo, read_task};
use crate::report::{Exit, WithHint, data, step};

/// Fetch the training data; version data in DVC's formats, and prove that it is whole
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Download what is missing from the first mirror that has it
    Fetch {
        #[command(flatten)]
        source: Source,
    },
    /// Check sizes and digests: the task's files, and all that is versioned
    ///
    /// Of versioned data every content is read, here and in the cache. `data verify PATH…` reads no more than that.
    Verify {
        #[command(flatten)]
        task: TaskFile,
        #[command(flatten)]
        versioned: Versioned,
    },
    /// Version files or folders: contents go into the cache, Git gets a pointer
    Add(Passed),
    /// Send versioned contents to a remote
    Push(Passed),
    /// Fetch what pointers name, verified, and put it in its place
    Pull(Passed),
    /// What of the versioned data was changed, and what is missing from the cache or a remote
    Status(Passed),
    /// Remove contents that no pointer names
    Gc(Passed),
}

/// What is asked of the versioned data, as `mlops` takes it.
#[derive(clap::Args)]
pub(crate) struct Versioned {
    /// Pointers, or the data they point to, and nothing else
    #[arg(value_name = "PATH", conflicts_with = "file")]
    paths: Vec<OsString>,
    /// Read all of it on the remote, too; nothing is kept
    #[arg(long, short)]
    cloud: bool,
    /// Which remote of .dvc/config [default: the one that [core] names]
    #[arg(long, short, value_name = "NAME")]
    remote: Option<OsString>,
    /// Objects under way at once
    #[arg(long, short, value_name = "N")]
    jobs: Option<OsString>,
}

impl Versioned {
    fn verify(self, repo: &Repo) -> anyhow::Result<()> {
        let mut verify = keep::mlops(repo)?.args(["data", "verify"]);
        if self.cloud {
            verify = verify.arg("--cloud");
        }
        for (name, value) in [("--remote", self.remote), ("--jobs", self.jobs)] {
            verify = verify.args(value.map(|value| [name.into(), value]).into_iter().flatten());
        }
        verify.arg("--").args(self.paths).replace()
    }

    fn asks_the_remote(&self) -> bool {
        self.cloud || self.remote.is_some()
    }
}

#[derive(clap::Args, Clone)]
pub(crate) struct TaskFile {
    /// What is classified [default: model/task.yaml]
    #[arg(long = "task", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

impl TaskFile {
    pub(crate) fn path(&self, repo: &Repo) -> PathBuf {
        self.file.clone().unwrap_or_else(|| repo.task_file())
    }
}

#[derive(clap::Args, Clone)]
pub(crate) struct Source {
    #[command(flatten)]
    pub(crate) task: TaskFile,
    /// Take the files from here and nowhere else [env: the data's name in capitals and `_MIRROR`,
    /// as in `MNIST_MIRROR`]
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) mirror: Option<String>,
}

impl Command {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Fetch { source } => {
                let task = read_task(&source.task.path(repo))?;
                if task.data.files().is_empty() {
                    bail!("the task `{}` names no files to fetch", task.name);
                }
                match fetch(repo, &task, source.mirror.as_deref()) {
                    Ok(folder) => data(folder.display()),
                    Err(error) if error.is::<NoMirror>() => {
                        return Err(error)
                            .hint("`--mirror DIR|URL` names another place to fetch from");
                    }
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            Self::Verify { task, versioned } => {
                if versioned.paths.is_empty() {
                    verify(repo, &read_task(&task.path(repo))?)?;
                    if !versioned.asks_the_remote() && !repo.path(".dvc").is_dir() {
                        return Ok(());
                    }
                }
                versioned.verify(repo)
            }
            Self::Add(passed) => passed.run(repo, "data add"),
            Self::Push(passed) => passed.run(repo, "data push"),
            Self::Pull(passed) => passed.run(repo, "data pull"),
            Self::Status(passed) => passed.run(repo, "data status"),
            Self::Gc(passed) => passed.run(repo, "data gc"),
        }
    }
}

/// What the trainer reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dataset {
    Files(PathBuf),
    /// The folders that the task file names.
    Folders,
    Synthetic,
}

/// The data a training asked for. Only where nothing was asked for, and no mirror answers, does it
/// become the task's generator, in plain words; under `CI=true` it never does.
pub(crate) fn provide(
    repo: &Repo,
    task: &Task,
    wanted: Option<&str>,
    mirror: Option<&str>,
) -> anyhow::Result<Dataset> {
    let generator = task.data.synthetic;
    match wanted {
        Some("synthetic") if generator.is_some() => return Ok(Dataset::Synthetic),
        Some("synthetic") => bail!("the task `{}` has no generator of synthetic data", task.name),
        Some(name) if name != task.data.name => {
            return Err(anyhow::anyhow!("the task `{}` has no data called `{name}`", task.name))
                .hint(format!("use `--data {}` or `--data synthetic`", task.data.name));
        }
        _ => {}
    }
    if task.data.folders.is_some() {
        return Ok(Dataset::Folders);
    }
    if task.data.files().is_empty() {
        return Ok(Dataset::Synthetic);
    }
    match (fetch(repo, task, mirror), generator) {
        (Ok(folder), _) => Ok(Dataset::Files(folder)),
        (Err(error), Some(generator))
            if error.is::<NoMirror>() && wanted.is_none() && mirror.is_none() && !in_ci() =>
        {
            step(format_args!("warning: {error:#}"));
            step(format_args!(
                "training on {} instead: generated pictures, not {}. The artifact's name, card and manifest say so.",
                generator.data_name(),
                task.data.name
            ));
            Ok(Dataset::Synthetic)
        }
        (Err(error), Some(_)) if error.is::<NoMirror>() => {
            Err(error).hint("`--data synthetic` trains on generated pictures instead")
        }
        (Err(error), _) => Err(error),
    }
}

/// No mirror gave anything: the network is at fault, not the files.
#[derive(Debug)]
struct NoMirror {
    data: String,
    reasons: Vec<String>,
}

impl std::fmt::Display for NoMirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no mirror of {} answers: {}", self.data, self.reasons.join("; "))
    }
}

impl std::error::Error for NoMirror {}

/// Puts every file of the task into its data folder; what is there and whole stays as it is.
fn fetch(repo: &Repo, task: &Task, mirror: Option<&str>) -> anyhow::Result<PathBuf> {
    let folder = repo.data(&task.data.name);
    let named = mirror.map(str::to_owned).or_else(|| mirror_variable(&task.data.name));
    let mirrors: Vec<Mirror> = match (&named, &task.data.idx) {
        (Some(mirror), _) => vec![Mirror::from(mirror.as_str())],
        (None, Some(idx)) => idx.mirrors.iter().map(|url| Mirror::from(url.as_str())).collect(),
        (None, None) => Vec::new(),
    };
    fs_err::create_dir_all(&folder)?;
    // Two commands may want it at once: the second waits and finds it.
    let lock = fs_err::File::create(folder.join(".lock"))?;
    lock.file().lock().context("waiting for another download of the same data")?;
    let mut missing = Vec::new();
    for file in task.data.files() {
        let path = folder.join(&file.file);
        match download::verify(&path, file)
            .with_context(|| format!("reading `{}`", path.display()))?
        {
            Some(Ok(())) => {}
            Some(Err(wrong)) => {
                step(format_args!("{wrong}; fetching it again"));
                missing.push(file);
            }
            None => missing.push(file),
        }
    }
    if missing.is_empty() {
        step(format_args!("data: {} is here and verified", task.data.name));
    }
    for file in missing {
        fetch_one(file, &mirrors, &folder, &task.data.name)?;
    }
    Ok(folder)
}

fn fetch_one(
    file: &RemoteFile,
    mirrors: &[Mirror],
    folder: &std::path::Path,
    name: &str,
) -> anyhow::Result<()> {
    let mut reasons = Vec::new();
    let mut wrong_somewhere = false;
    for mirror in mirrors {
        step(format_args!("data: {} from {mirror}", file.file));
        match download::fetch(mirror, file, folder) {
            Ok(()) => return Ok(()),
            Err(DownloadError::Local(error)) => {
                return Err(error).with_context(|| format!("writing to `{}`", folder.display()));
            }
            Err(error) => {
                wrong_somewhere |= matches!(error, DownloadError::Wrong(_));
                reasons.push(error.to_string());
            }
        }
    }
    if wrong_somewhere {
        Err(anyhow::anyhow!("{}", reasons.join("; ")))
            .hint("the mirror holds other data: check it, or name another with `--mirror DIR|URL`")
    } else {
        Err(NoMirror { data: name.to_owned(), reasons }.into())
    }
}

fn verify(repo: &Repo, task: &Task) -> anyhow::Result<()> {
    let folder = repo.data(&task.data.name);
    let mut wrong = 0u32;
    for file in task.data.files() {
        let path = folder.join(&file.file);
        match download::verify(&path, file)
            .with_context(|| format!("reading `{}`", path.display()))?
        {
            Some(Ok(())) => data(format_args!("ok       {}", path.display())),
            Some(Err(mistake)) => {
                wrong += 1;
                data(format_args!("wrong    {mistake}"));
            }
            None => {
                wrong += 1;
                data(format_args!("missing  {}", path.display()));
            }
        }
    }
    if wrong == 0 {
        return Ok(());
    }
    Err(Exit {
        code: 1,
        message: format!("{wrong} files of {} are not as they should be", task.data.name),
    })
    .hint("`cargo xtask data fetch` fetches those and no others")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the variable's name depends on the task, so clap cannot know it"
)]
fn mirror_variable(data: &str) -> Option<String> {
    let name = format!("{}_MIRROR", data.to_uppercase().replace('-', "_"));
    std::env::var(name).ok().filter(|mirror| !mirror.is_empty())
}

/// As every CI service says it.
#[expect(clippy::disallowed_methods, reason = "a fact about where we run, not configuration")]
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "
name: toy
title: A toy
input: { height: 8, width: 8, channels: 1 }
classes: [a, b]
normalisation: { mean: [0.5], std: [0.5] }
picture: cover
data:
  name: toy
  idx:
    mirrors: []
    train: { images: FILE, labels: FILE }
    test: { images: FILE, labels: FILE }
";

    /// What `data fetch` from an empty folder says, keeping the data in `home` under the checkout.
    fn refusal(home: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let file = format!("{{ file: a.gz, bytes: 1, sha256: {} }}", "0".repeat(64));
        fs_err::write(path("task.yaml"), TASK.replace("FILE", &file)).unwrap();
        fs_err::write(path("no folder"), "").unwrap();
        fs_err::create_dir(path("mirror")).unwrap();
        let source = Source {
            task: TaskFile { file: Some(path("task.yaml")) },
            mirror: Some(path("mirror").display().to_string()),
        };
        let repo = Repo::at(folder.path()).with_home(&path(home)).unwrap();
        format!("{:#}", Command::Fetch { source }.run(&repo).unwrap_err())
    }

    #[test]
    fn a_mirror_is_blamed_for_what_it_lacks_and_not_for_a_disk_that_cannot_be_written() {
        let lacking = refusal("home");
        assert!(lacking.contains("--mirror") && lacking.contains("a.gz"), "{lacking}");
        let unwritable = refusal("no folder");
        assert!(!unwritable.contains("mirror"), "{unwritable}");
        assert!(unwritable.contains("no folder/model/data/toy"), "{unwritable}");
    }
}
