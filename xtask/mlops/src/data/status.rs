//! `data status`: whether the data is what its pointers say. `data verify` reads every content that they name, and
//! fails where one is missing or wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::bail;

use super::cache::State;
use super::object::{Md5, Object};
use super::pointer::Out;
use super::push::Transfer;
use super::remote::{all_well, each};
use super::tree::Tree;
use super::workspace::{Found, Workspace, look};
use super::{block_on, counted, told};

/// What of the versioned data was changed, and what is missing from the cache or a remote
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pointers, or the data they point to [default: all]
    #[arg(value_name = "PATH")]
    targets: Vec<PathBuf>,
    /// Say also what the remote lacks
    #[arg(long, short)]
    cloud: bool,
    #[command(flatten)]
    transfer: Transfer,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::open()?;
        let outs = workspace.outs(&self.targets)?;
        for out in &outs {
            tell(&workspace, out, "clean")?;
            if workspace.cache.size(out.object)?.is_none() {
                told(line("not cached", &workspace.shown(&out.path)))?;
            }
        }
        if !self.cloud && self.transfer.remote.is_none() {
            return Ok(());
        }
        let remote = workspace.remote(self.transfer.remote.as_deref(), false)?;
        let objects = objects(&workspace, &outs)?;
        let lacks = |object| {
            let remote = &remote;
            async move { remote.size(object).await.map(|size| size.is_none()) }
        };
        let all = objects.len();
        let (lacking, failed) =
            block_on(async { Ok(each(objects, self.transfer.jobs, lacks).await) })?;
        all_well(failed)?;
        told(format_args!(
            "`{}` lacks {} of {}",
            remote.name,
            lacking.len(),
            counted(all, "object")
        ))
    }
}

fn line(kind: &str, path: &str) -> String {
    format!("{kind:<10} {path}")
}

/// How the data is not as its pointer says, or that it is, in that word; how many differences there are.
fn tell(workspace: &Workspace, out: &Out, well: &str) -> anyhow::Result<usize> {
    let differences = differences(workspace, out)?;
    if differences.is_empty() {
        told(line(well, &workspace.shown(&out.path)))?;
    }
    differences.iter().try_for_each(told)?;
    Ok(differences.len())
}

fn differences(workspace: &Workspace, out: &Out) -> anyhow::Result<Vec<String>> {
    let shown = workspace.shown(&out.path);
    Ok(match look(&out.path)? {
        Found::Nothing => vec![line("missing", &shown)],
        Found::File => {
            let (md5, _) = Md5::of_file(&out.path)?;
            let same = out.object == Object::file(md5);
            if same { Vec::new() } else { vec![line("changed", &shown)] }
        }
        Found::Folder(files) => {
            let mut now = Tree::default();
            for (below, file) in files {
                now.0.insert(below, Md5::of_file(&file)?.0);
            }
            let known = workspace.cache.tree(out.object).ok().flatten();
            match known {
                _ if now.object() == out.object => Vec::new(),
                Some(known) if out.object.is_folder => between(&known, &now)
                    .into_iter()
                    .map(|(kind, below)| line(kind, &format!("{shown}/{below}")))
                    .collect(),
                _ => vec![line("changed", &shown)],
            }
        }
    })
}

fn between<'a>(before: &'a Tree, now: &'a Tree) -> Vec<(&'static str, &'a str)> {
    let paths: BTreeSet<&String> = before.0.keys().chain(now.0.keys()).collect();
    let kind = |path: &String| match (before.0.get(path), now.0.get(path)) {
        (before, now) if before == now => None,
        (None, _) => Some("added"),
        (_, None) => Some("missing"),
        _ => Some("changed"),
    };
    paths.into_iter().filter_map(|path| Some((kind(path)?, path.as_str()))).collect()
}

/// All that `outs` name. Of a manifest that is not in the cache nobody knows what it names.
fn objects(workspace: &Workspace, outs: &[Out]) -> anyhow::Result<BTreeSet<Object>> {
    let mut objects = BTreeSet::new();
    for out in outs {
        objects.insert(out.object);
        if out.object.is_folder {
            let tree = workspace.cache.tree(out.object)?;
            objects.extend(tree.iter().flat_map(Tree::files));
        }
    }
    Ok(objects)
}

/// Read all that pointers name, in the checkout and the cache, and fail where it is not what they say
#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// Pointers, or the data they point to [default: all]
    #[arg(value_name = "PATH")]
    targets: Vec<PathBuf>,
    /// Read all of it on the remote, too; nothing is kept
    #[arg(long, short)]
    cloud: bool,
    #[command(flatten)]
    transfer: Transfer,
}

impl VerifyArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::open()?;
        let outs = workspace.outs(&self.targets)?;
        let mut wrong = 0;
        for out in &outs {
            wrong += tell(&workspace, out, "ok")?;
        }
        let objects = objects(&workspace, &outs)?;
        for object in &objects {
            let state = workspace.cache.state(*object)?;
            let path = workspace.cache.path(*object);
            let kind = match state {
                State::Whole => continue,
                State::Absent => "not cached",
                State::Corrupt => "corrupt",
            };
            wrong += 1;
            told(line(kind, &workspace.shown(&path)))?;
        }
        if self.cloud || self.transfer.remote.is_some() {
            let remote = workspace.remote(self.transfer.remote.as_deref(), false)?;
            let verify = |object| {
                let remote = &remote;
                async move { remote.verify(object).await.map(|()| true) }
            };
            let (_, failed) =
                block_on(async { Ok(each(objects, self.transfer.jobs, verify).await) })?;
            all_well(failed)?;
        }
        if wrong > 0 {
            bail!(
                "{} not what the pointers say\n\nhint: `cargo xtask data pull` brings what is missing; `data add` \
                 makes what was changed the data",
                if wrong == 1 { "1 thing is".to_owned() } else { format!("{wrong} things are") }
            );
        }
        Ok(())
    }
}
