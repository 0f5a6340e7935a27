//! What is asked of Git: where the checkout is, what it ignores, and pointers of other commits.

use std::path::{Path, PathBuf};
use std::process::{self, Output};

use anyhow::{Context, bail};

use super::hinted;

/// The checkout around `dir`.
pub(super) fn root(dir: &Path) -> anyhow::Result<PathBuf> {
    let root = text(dir, &["rev-parse", "--show-toplevel"]).map_err(|error| {
        hinted(
            format_args!("versioned data needs a checkout of Git around it: {error:#}"),
            "`git init` begins one",
        )
    })?;
    Ok(PathBuf::from(root.strip_suffix('\n').unwrap_or(&root)))
}

pub(super) fn ignores(dir: &Path, path: &Path) -> anyhow::Result<bool> {
    let path = utf8(path)?;
    let asked = git(dir, &["check-ignore", "--quiet", "--no-index", path])?;
    match asked.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("git check-ignore: {}", String::from_utf8_lossy(&asked.stderr).trim()),
    }
}

/// As pointers and manifests have it.
pub(super) fn utf8(path: &Path) -> anyhow::Result<&str> {
    path.to_str().ok_or_else(|| {
        hinted(
            format_args!("the name `{}` is not UTF-8, as pointers are", path.display()),
            "rename it: mv, or convmv for many",
        )
    })
}

/// Whether something at or below `path` is in Git itself.
pub(super) fn tracks(dir: &Path, path: &Path) -> anyhow::Result<bool> {
    let path = utf8(path)?;
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

/// A remote of which not all branches are fetched, as after `clone --depth` or `--single-branch`.
pub(super) fn known_in_part(dir: &Path) -> anyhow::Result<Option<String>> {
    let listed = text(dir, &["remote"])?;
    for remote in listed.lines() {
        let asked = git(dir, &["config", "--get-all", &format!("remote.{remote}.fetch")])?;
        let fetched = String::from_utf8_lossy(&asked.stdout).into_owned();
        let is_all =
            |refs: &str| ["refs/heads/*:", "refs/*:"].iter().any(|all| refs.starts_with(all));
        if !fetched.lines().any(|refs| is_all(refs.trim_start_matches('+'))) {
            return Ok(Some(remote.to_owned()));
        }
    }
    Ok(None)
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
