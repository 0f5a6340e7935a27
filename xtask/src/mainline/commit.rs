//! A commit without a work tree: an index of its own, a tree, a commit that nothing points to yet.

use std::collections::BTreeMap;

use anyhow::Context;
use gitops::admit::RenderInputs;
use gitops::environment::{BASE, COMPONENTS, Environment};
use gitops::mainline::Built;
use gitops::object_id::{CommitId, ObjectId};
use gitops::plan::{File, Plan};
use jiff::Timestamp;

use crate::process::Cmd;
use crate::report::WithHint;

/// Makes a `git` with the same settings, again and again.
type Git<'a> = &'a dyn Fn() -> Cmd;

pub(super) fn build(git: Git<'_>, clock: Option<Timestamp>, plan: &Plan) -> anyhow::Result<Built> {
    let mut edits = Edits::default();
    for file in &plan.files {
        match file {
            File::Write { path, content } => edits.write(git, path, content)?,
            File::Restore { path, from } => edits.restore(git, plan.parent, path, *from)?,
        }
    }
    let commit = commit(git, clock, plan.parent, &edits, &plan.message())?;
    let changed = git().args(["diff-tree", "-r", "-z", "--no-renames", "--name-only"]);
    let changed = changed.args([plan.parent.to_string(), commit.to_string()]).bytes()?;
    let touched = String::from_utf8_lossy(&changed);
    let touched = touched.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    let promised = plan.identical_to.map(|id| inputs(git, id, &plan.environment)).transpose()?;
    Ok(Built { commit, touched, inputs: inputs(git, commit, &plan.environment)?, promised })
}

/// Entries to put into an index by path: mode and object, or none to remove.
#[derive(Default)]
pub(super) struct Edits(BTreeMap<String, Option<(String, String)>>);

impl Edits {
    pub(super) fn write(&mut self, git: Git<'_>, path: &str, content: &str) -> anyhow::Result<()> {
        let id = text(&git().args(["hash-object", "-w", "--stdin"]).input(content))?;
        self.0.insert(path.to_owned(), Some(("100644".to_owned(), id)));
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn remove(&mut self, path: &str) {
        self.0.insert(path.to_owned(), None);
    }

    /// What is below `path` now goes, what was there at `from` comes.
    fn restore(
        &mut self,
        git: Git<'_>,
        parent: CommitId,
        path: &str,
        from: CommitId,
    ) -> anyhow::Result<()> {
        let there = files(git, parent, path)?.into_iter().map(|(path, _)| (path, None));
        let wanted = files(git, from, path)?.into_iter();
        self.0.extend(there);
        self.0.extend(wanted.map(|(path, entry)| (path, Some(entry))));
        Ok(())
    }
}

type Entry = (String, String);

fn files(git: Git<'_>, commit: CommitId, path: &str) -> anyhow::Result<Vec<(String, Entry)>> {
    let tree = git().args(["ls-tree", "-r", "-z", "--full-tree"]).arg(commit.to_string());
    let listed = tree.args(["--", path]).bytes()?;
    let listed = String::from_utf8(listed).context("a file's name is not UTF-8")?;
    let entry = |line: &str| {
        let (entry, path) = line.split_once('\t')?;
        let mut fields = entry.split(' ');
        let (mode, id) = (fields.next()?, fields.nth(1)?);
        Some((path.to_owned(), (mode.to_owned(), id.to_owned())))
    };
    let lines = listed.split('\0').filter(|line| !line.is_empty());
    lines
        .map(|line| entry(line).with_context(|| format!("`git ls-tree` printed `{line}`")))
        .collect()
}

pub(super) fn commit(
    git: Git<'_>,
    clock: Option<Timestamp>,
    parent: CommitId,
    edits: &Edits,
    message: &str,
) -> anyhow::Result<CommitId> {
    let folder = tempfile::tempdir().context("making a folder for an index")?;
    let index = folder.path().join("index");
    let git = || git().env("GIT_INDEX_FILE", &index);
    git().args(["read-tree", "--empty"]).bytes()?;
    git().arg("read-tree").arg(parent.to_string()).bytes()?;
    let lines = edits.0.iter().map(|(path, entry)| match entry {
        Some((mode, id)) => format!("{mode} {id}\t{path}\0"),
        None => format!("0 {}\t{path}\0", "0".repeat(40)),
    });
    let lines: Vec<String> = lines.collect();
    git().args(["update-index", "-z", "--index-info"]).input(lines.concat()).bytes()?;
    let tree = text(&git().arg("write-tree"))?;
    let mut commit = git().args(["-c", "i18n.commitEncoding=UTF-8", "commit-tree"]);
    commit = commit.arg(tree).arg("-p").arg(parent.to_string()).args(["-F", "-"]).input(message);
    if let Some(clock) = clock {
        let date = format!("@{} +0000", clock.as_second());
        commit = commit.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
    }
    let id = text(&commit)
        .context("making a commit")
        .hint("git config --global user.name NAME, and user.email likewise")?;
    Ok(id.parse()?)
}

fn inputs(git: Git<'_>, commit: CommitId, of: &Environment) -> anyhow::Result<RenderInputs> {
    let names = [BASE, COMPONENTS, &of.overlay()].map(|path| format!("{commit}:{path}\n"));
    let check = git().args(["cat-file", "--batch-check=%(objectname)"]).input(names.concat());
    let found = text(&check)?;
    let mut trees = found.lines().map(|line| line.parse::<ObjectId>().ok());
    let mut next = || trees.next().context("`git cat-file` answers less than it was asked");
    Ok(RenderInputs { base: next()?, components: next()?, overlay: next()? })
}

fn text(git: &Cmd) -> anyhow::Result<String> {
    let output = String::from_utf8(git.bytes()?).context("an object's name is not UTF-8")?;
    Ok(output.trim().to_owned())
}
