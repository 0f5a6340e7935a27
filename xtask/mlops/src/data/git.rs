//! What is asked of Git: where the checkout is, what it ignores, and pointers of other commits.

use std::path::{Path, PathBuf};
use std::process::{self, Output};

use anyhow::{Context, bail};

/// The checkout around `dir`.
pub(super) fn root(dir: &Path) -> anyhow::Result<PathBuf> {
    let root = text(dir, &["rev-parse", "--show-toplevel"])
        .context("versioned data needs a checkout of Git around it")?;
    Ok(PathBuf::from(root.trim_end()))
}

pub(super) fn ignores(dir: &Path, path: &Path) -> anyhow::Result<bool> {
    let path = path.to_str().context("a path that is not UTF-8")?;
    let asked = git(dir, &["check-ignore", "--quiet", "--no-index", path])?;
    match asked.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("git check-ignore: {}", String::from_utf8_lossy(&asked.stderr).trim()),
    }
}

/// Whether something at or below `path` is in Git itself.
pub(super) fn tracks(dir: &Path, path: &Path) -> anyhow::Result<bool> {
    let path = path.to_str().context("a path that is not UTF-8")?;
    Ok(!text(dir, &["--literal-pathspecs", "ls-files", "--", path])?.is_empty())
}

/// Commits that branches, those of remotes too, or tags name.
pub(super) fn commits(dir: &Path, branches: bool, tags: bool) -> anyhow::Result<Vec<String>> {
    let mut args = vec!["for-each-ref", "--format=%(objectname)"];
    if branches {
        args.extend(["refs/heads", "refs/remotes"]);
    }
    if tags {
        args.push("refs/tags");
    }
    if !branches && !tags {
        return Ok(Vec::new());
    }
    let mut commits: Vec<String> = text(dir, &args)?.lines().map(str::to_owned).collect();
    commits.sort();
    commits.dedup();
    Ok(commits)
}

/// Paths in `commit`, below `dir`.
pub(super) fn files(dir: &Path, commit: &str) -> anyhow::Result<Vec<String>> {
    let listed = text(dir, &["ls-tree", "-r", "-z", "--name-only", commit])?;
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

/// Path and text of every pointer in `commit`, below `dir`.
pub(super) fn pointers(dir: &Path, commit: &str) -> anyhow::Result<Vec<(String, String)>> {
    let pointers = files(dir, commit)?.into_iter();
    pointers
        .filter(|path| super::workspace::is_pointer(Path::new(path)))
        .map(|path| {
            let said = text(dir, &["show", &format!("{commit}:./{path}")])?;
            Ok((path, said))
        })
        .collect()
}

fn text(dir: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = git(dir, args)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {}: {}", args.join(" "), said.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[expect(clippy::disallowed_methods, reason = "the only place of this program that starts another")]
fn git(dir: &Path, args: &[&str]) -> anyhow::Result<Output> {
    process::Command::new("git").current_dir(dir).args(args).output().context("starting git")
}
