//! git: what the work tree is at, and how a machine calls it to write.

use std::path::Path;

use anyhow::Context;
use contract::atomic::AtomicDir;

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

/// The newest commit that changed one of these paths; `None` where there is none, or history is cut off.
pub(crate) fn last_change(repo: &Repo, paths: &[String]) -> Option<String> {
    let shallow = git(repo).args(["rev-parse", "--is-shallow-repository"]).read().ok()?;
    let revision = git(repo).args(["log", "-1", "--format=%H", "--"]).args(paths).read().ok()?;
    let known = shallow.trim() == "false" && !revision.trim().is_empty();
    known.then(|| revision.trim().to_owned())
}

/// Whether these paths hold anything that no commit does, files that Git does not know included.
pub(crate) fn differs(repo: &Repo, paths: &[String]) -> anyhow::Result<bool> {
    let status = git(repo).args(["status", "--porcelain", "--untracked-files=all", "--"]);
    let status = status.args(paths).read()?;
    Ok(!status.is_empty())
}

/// For programs that write Git: nothing of the user's (hooks, replacements, background work, glob
/// characters in paths) changes what is read or written.
pub(crate) fn plumbing(dir: &Path) -> Cmd {
    let settings = [
        "core.hooksPath=/dev/null",
        "core.autocrlf=false",
        "core.quotePath=false",
        "commit.gpgSign=false",
        "gc.auto=0",
        "maintenance.auto=false",
    ];
    let settings = settings.into_iter().flat_map(|setting| ["-c", setting]);
    at(dir).args(["--no-replace-objects", "--literal-pathspecs"]).args(settings)
}

/// A repository without a work tree, made where there is none, whole or not at all. Two who want it at
/// once get the same.
pub(crate) fn provide_bare(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let lock = folder.with_added_extension("lock");
    fs_err::create_dir_all(lock.parent().unwrap_or(folder))?;
    let lock = fs_err::File::create(lock)?;
    lock.file().lock().context("waiting for another one to make a clone")?;
    if !folder.exists() {
        let repository = AtomicDir::create(folder)?;
        plumbing(repository.path()).args(["init", "--quiet", "--bare", "."]).bytes()?;
        repository.commit()?;
    }
    Ok(())
}

/// Writes the files of a tree, such as `commit:kustomize`, into a folder that holds nothing yet. The
/// repository may be bare; no work tree and no index of anybody's is touched.
pub(crate) fn export(repository: &Path, tree: &str, into: &Path) -> anyhow::Result<()> {
    fs_err::create_dir_all(into)?;
    let index = tempfile::tempdir().context("making a folder for an index")?;
    let git = || {
        let git = plumbing(repository).env("GIT_INDEX_FILE", index.path().join("index"));
        git.arg("--work-tree").arg(into)
    };
    git().args(["read-tree", tree]).bytes()?;
    git().args(["checkout-index", "--all", "--quiet"]).bytes().map(drop)
}

/// A file as a commit has it; `None` where it has none.
pub(crate) fn file(repository: &Path, commit: &str, path: &str) -> anyhow::Result<Option<String>> {
    let tree = plumbing(repository).args(["ls-tree", "--full-tree", "--name-only", commit]);
    if tree.args(["--", path]).bytes()?.is_empty() {
        return Ok(None);
    }
    let content = plumbing(repository).args(["cat-file", "blob", &format!("{commit}:{path}")]);
    content.read().map(Some)
}

/// As [`file`], of the checkout's newest commit; `None` outside a Git repository, too.
pub(crate) fn committed(repo: &Repo, path: &str) -> anyhow::Result<Option<String>> {
    let Some(head) = head(repo) else { return Ok(None) };
    file(repo.root(), &head.revision, path)
}

/// Every file of the newest commit, as a tar archive. With the modes that a checkout has, because engines look up
/// what they built before by them, too.
pub(crate) fn archive(repo: &Repo) -> anyhow::Result<Vec<u8>> {
    let modes = ["-c", "tar.umask=0022"];
    plumbing(repo.root()).args(modes).args(["archive", "--format=tar", "HEAD"]).bytes()
}

fn git(repo: &Repo) -> Cmd {
    at(repo.root())
}

/// What `git rev-parse --local-env-vars` lists: Git hands these to hooks and to `rebase --exec`, and with
/// them every command would be about that repository instead of the one that it is run in.
const LOCAL: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

fn at(dir: &Path) -> Cmd {
    Cmd::new("git", dir).without(&LOCAL).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C")
}
