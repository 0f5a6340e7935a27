//! From the cache to where a pointer says that data lies. Nothing is lost that no cache knows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::atomic::{AtomicFile, Swept};

use super::cache::{Cache, State};
use super::hinted;
use super::object::{self, Md5, Object};
use super::pointer::Out;
use super::together::together;
use super::tree::Tree;
use super::workspace::{Found, Workspace, look};

/// Files that now are as the pointer says, and those that were so before.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Done {
    pub(super) written: usize,
    pub(super) removed: usize,
}

/// Makes the data what its pointer says. Files that are in no cache stay, and are an error unless `force` is set.
pub(super) fn checkout(workspace: &Workspace, out: &Out, force: bool) -> anyhow::Result<Done> {
    let cache = &workspace.cache;
    let wanted: BTreeMap<PathBuf, Md5> = if out.object.is_folder {
        let tree = tree(cache, out.object)?;
        tree.0.iter().map(|(below, md5)| (out.path.join(below), *md5)).collect()
    } else {
        BTreeMap::from([(out.path.clone(), out.object.md5)])
    };
    let mut present: BTreeSet<PathBuf> = match look(&out.path)? {
        Found::Nothing => BTreeSet::new(),
        Found::File => BTreeSet::from([out.path.clone()]),
        Found::Folder(files) => files.into_values().collect(),
    };
    // What `.dvcignore` hides may be in the way all the same.
    present.extend(wanted.keys().filter(|path| path.is_file()).cloned());
    let (mut whole, mut stale) = (BTreeSet::new(), Vec::new());
    for path in present {
        let (md5, _) = Md5::of_file(&path)?;
        if wanted.get(&path) == Some(&md5) {
            whole.insert(path);
        } else if force || cache.state(Object::file(md5))? == State::Whole {
            stale.push(path);
        } else {
            return Err(hinted(
                format_args!("`{}` was changed and is in no cache", workspace.shown(&path)),
                "`cargo xtask data add` keeps it; `data pull --force` overwrites it",
            ));
        }
    }
    let mut done = Done::default();
    for path in stale.iter().filter(|path| !wanted.contains_key(*path)) {
        fs_err::remove_file(path)?;
        remove_empty_folders(path, &out.path);
        done.removed += 1;
    }
    if out.object.is_folder {
        fs_err::create_dir_all(&out.path)?;
    } else if out.path.is_dir() {
        fs_err::remove_dir(&out.path)?;
    }
    let missing: Vec<_> = wanted.iter().filter(|(path, _)| !whole.contains(*path)).collect();
    let mut folders = BTreeMap::new();
    for parent in missing.iter().filter_map(|(path, _)| path.parent()) {
        if !folders.contains_key(parent) {
            folders.insert(parent, Swept::sweep(parent)?);
        }
    }
    let placed = together(&missing, |(path, md5)| {
        let folder = path.parent().and_then(|parent| folders.get(parent));
        let (Some(folder), Some(name)) = (folder, path.file_name()) else {
            bail!("`{}` names no file", path.display());
        };
        place(cache, Object::file(**md5), path, folder.create(name)?)
    })?;
    done.written = placed.len();
    Ok(done)
}

pub(super) fn tree(cache: &Cache, object: Object) -> anyhow::Result<Tree> {
    cache.tree(object)?.ok_or_else(|| {
        hinted(
            format_args!("the manifest `{object}` is not in the cache"),
            "`cargo xtask data pull` brings it",
        )
    })
}

fn place(cache: &Cache, object: Object, path: &Path, mut file: AtomicFile) -> anyhow::Result<()> {
    let copied = object::copy(&cache.path(object), &mut file);
    let (md5, _) =
        copied.with_context(|| format!("writing `{}`", path.display())).map_err(|error| {
            let cause = error.downcast_ref::<io::Error>().map(io::Error::kind);
            match cause {
                Some(io::ErrorKind::StorageFull) => {
                    hinted(format_args!("{error:#}"), "free some space and run it again")
                }
                _ => error,
            }
        })?;
    if md5 != object.md5 {
        return Err(cache.corrupt(object));
    }
    file.commit()?;
    Ok(())
}

/// Of a file that was removed, up to the data's own.
fn remove_empty_folders(file: &Path, top: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| folder.starts_with(top)) {
        if fs_err::remove_dir(folder).is_err() {
            return;
        }
    }
}
