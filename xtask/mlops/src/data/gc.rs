//! `data gc`: removes contents that no pointer names any more. Whatever leaves a doubt about what is named ends it
//! before the first removal.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;

use super::cache::Cache;
use super::object::Object;
use super::pointer::Pointer;
use super::push::Transfer;
use super::remote::{Remote, all_well, each};
use super::workspace::{Workspace, is_pointer};
use super::{block_on, counted, git, hinted, told};

/// Remove contents from the cache that no pointer names
///
/// What pointers in the work tree name is kept. A remote is others' too, so `--cloud` wants to be told what else is:
/// `--all-branches`, `--all-tags`, or `--workspace` for nothing else. While somebody else pushes to a remote, or pulls from it, leave it
/// alone.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    history: History,
    /// Remove it from the remote, too
    #[arg(long, short)]
    cloud: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    transfer: Transfer,
}

#[derive(clap::Args)]
struct History {
    /// Keep nothing but that, with `--cloud` too
    #[arg(long, short, conflicts_with_all = ["all_branches", "all_tags"])]
    workspace: bool,
    /// Keep also what pointers at the heads of all branches name, those of remotes too
    #[arg(long, short = 'a')]
    all_branches: bool,
    /// Keep also what pointers of all tags name
    #[arg(long, short = 'T')]
    all_tags: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::open()?;
        let name = self.transfer.remote.as_deref();
        if name.is_some() && !self.cloud {
            let what = "`--remote` says where `--cloud` removes, and `--cloud` is not there";
            return Err(hinted(what, "leave `--remote` out, or add `--cloud`"));
        }
        let History { workspace: only_here, all_branches, all_tags } = self.history;
        if self.cloud && !(only_here || all_branches || all_tags) {
            let what = "`--cloud` removes what others may have pointers to, and nothing says which to heed";
            return Err(hinted(
                what,
                "`--all-branches`, `--all-tags`, or `--workspace` for this checkout's alone",
            ));
        }
        if self.cloud && (all_branches || all_tags) {
            demand_all_branches(&workspace)?;
        }
        let remote = self.cloud.then(|| workspace.remote(name, false)).transpose()?;
        let mut named = BTreeSet::new();
        for file in workspace.all_files()? {
            refuse_pipeline(&file)?;
            if is_pointer(&file) {
                named.extend(Pointer::read(&file)?.outs.into_iter().map(|out| out.object));
            }
        }
        for commit in git::commits(&workspace.root, all_branches, all_tags)? {
            for path in git::files(&workspace.root, &commit)? {
                let path = Path::new(&path);
                refuse_pipeline(path).with_context(|| format!("in commit {commit}"))?;
            }
            for (path, text) in git::pointers(&workspace.root, &commit)? {
                let pointer = Pointer::parse(Path::new(&path), &text);
                let pointer = pointer.with_context(|| format!("in commit {commit}"))?;
                named.extend(pointer.outs.into_iter().map(|out| out.object));
            }
        }
        let kept = kept(&workspace, remote.as_ref(), named)?;
        self.sweep_cache(&workspace.cache, &kept)?;
        if let Some(remote) = remote {
            self.sweep_remote(&remote, &kept)?;
        }
        Ok(())
    }

    fn sweep_cache(&self, cache: &Cache, kept: &BTreeSet<Object>) -> anyhow::Result<()> {
        let (objects, leftovers) = cache.list()?;
        let unnamed: Vec<Object> = manifests_first(objects, kept);
        for object in &unnamed {
            told(format_args!("{:<10} {object}", self.verb()))?;
            if !self.dry_run {
                cache.remove(*object)?;
            }
        }
        for leftover in &leftovers {
            told(format_args!("{:<10} {}", self.verb(), leftover.display()))?;
            if !self.dry_run {
                fs_err::remove_file(leftover)?;
            }
        }
        let all = counted(unnamed.len() + leftovers.len(), "object");
        told(format_args!("cache: {} {all}, kept {}", self.verb(), kept.len()))
    }

    fn sweep_remote(&self, remote: &Remote, kept: &BTreeSet<Object>) -> anyhow::Result<()> {
        let unnamed = manifests_first(block_on(remote.list())?, kept);
        let (folders, files): (Vec<Object>, Vec<Object>) =
            unnamed.iter().copied().partition(|object| object.is_folder);
        if !self.dry_run {
            let sweep = |object| async move { remote.remove(object).await.map(|()| true) };
            for objects in [folders, files] {
                let swept = async { Ok(each(objects, self.transfer.jobs, sweep).await) };
                let (_, failed) = block_on(swept)?;
                all_well(failed)?;
            }
        }
        let all = counted(unnamed.len(), "object");
        told(format_args!("`{}`: {} {all}, kept {}", remote.name, self.verb(), kept.len()))
    }

    fn verb(&self) -> &'static str {
        if self.dry_run { "unnamed" } else { "removed" }
    }
}

/// One who has some of the branches would take what the others name from everybody.
fn demand_all_branches(workspace: &Workspace) -> anyhow::Result<()> {
    let Some(remote) = git::known_in_part(&workspace.root)? else { return Ok(()) };
    Err(hinted(
        format_args!(
            "this clone fetches only some branches of `{remote}`, so nobody knows what the others name"
        ),
        format_args!("git remote set-branches {remote} '*' && git fetch {remote}"),
    ))
}

/// Its outputs are named there and in no pointer.
fn refuse_pipeline(file: &Path) -> anyhow::Result<()> {
    if file.file_name().is_some_and(|name| name == "dvc.lock") {
        return Err(hinted(
            format_args!(
                "`{}` names outputs of a pipeline, which nothing here reads",
                file.display()
            ),
            "`dvc gc` of DVC itself knows them",
        ));
    }
    Ok(())
}

/// A manifest goes before what it names, so that none is left that names what is gone.
fn manifests_first(objects: Vec<Object>, kept: &BTreeSet<Object>) -> Vec<Object> {
    let mut unnamed: Vec<Object> =
        objects.into_iter().filter(|object| !kept.contains(object)).collect();
    unnamed.sort_by_key(|object| !object.is_folder);
    unnamed
}

/// With all that manifests name. One that is nowhere could name anything, unless nothing would be swept that it names.
fn kept(
    workspace: &Workspace,
    remote: Option<&Remote>,
    named: BTreeSet<Object>,
) -> anyhow::Result<BTreeSet<Object>> {
    let mut kept = named.clone();
    for folder in named.into_iter().filter(|object| object.is_folder) {
        let mut tree = workspace.cache.tree(folder)?;
        if tree.is_none()
            && let Some(remote) = remote
            && block_on(remote.size(folder))?.is_some()
        {
            block_on(remote.fetch(folder, &workspace.cache))?;
            tree = workspace.cache.tree(folder)?;
        }
        let Some(tree) = tree else {
            return Err(hinted(
                format_args!("the manifest `{folder}` is not here, so nobody knows what it names"),
                "`cargo xtask data pull` brings those of the work tree; `gc --cloud` asks the remote for others",
            ));
        };
        kept.extend(tree.files());
    }
    Ok(kept)
}
