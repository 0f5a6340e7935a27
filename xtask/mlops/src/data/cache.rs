//! `.dvc/cache`: contents under their MD5, as DVC lays them out. What is there appeared whole.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::atomic::{self, AtomicFile};

use super::hinted;
use super::object::{self, Md5, Object};
use super::tree::Tree;

#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// Holds `files/md5`.
    folder: PathBuf,
}

/// How the content of an object is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Whole,
    Corrupt,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn objects_folder(&self) -> PathBuf {
        self.folder.join("files/md5")
    }

    pub(super) fn path(&self, object: Object) -> PathBuf {
        let (first, rest) = object.place();
        self.objects_folder().join(first).join(rest)
    }

    /// Bytes of it, if it is there.
    pub(super) fn size(&self, object: Object) -> anyhow::Result<Option<u64>> {
        match fs_err::metadata(self.path(object)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads it whole.
    pub(super) fn state(&self, object: Object) -> anyhow::Result<State> {
        match Md5::of_file(&self.path(object)) {
            Ok((md5, _)) if md5 == object.md5 => Ok(State::Whole),
            Ok(_) => Ok(State::Corrupt),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Absent),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies a file that was hashed before; it may have changed since.
    pub(super) fn take(&self, file: &Path, object: Object) -> anyhow::Result<()> {
        if self.state(object)? == State::Whole {
            return Ok(());
        }
        let mut incoming = self.incoming(object)?;
        let copied = object::copy(file, &mut incoming);
        let (md5, _) = copied.map_err(|error| self.unwritable(&error))?;
        if !self.keep(incoming, md5, object)? {
            return Err(hinted(
                format_args!("`{}` changed while it was read", file.display()),
                "add it again when nothing writes to it",
            ));
        }
        Ok(())
    }

    pub(super) fn take_tree(&self, tree: &Tree) -> anyhow::Result<Object> {
        let (object, json) = (tree.object(), tree.to_json());
        if self.state(object)? != State::Whole {
            let mut incoming = self.incoming(object)?;
            incoming.write_all(json.as_bytes()).map_err(|error| self.unwritable(&error))?;
            self.keep(incoming, object.md5, object)?;
        }
        Ok(object)
    }

    /// The manifest, unless it is not there.
    pub(super) fn tree(&self, object: Object) -> anyhow::Result<Option<Tree>> {
        let path = self.path(object);
        let json = match fs_err::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if Md5::of(&json) != object.md5 {
            return Err(self.corrupt(object));
        }
        let tree = Tree::from_json(&json);
        tree.map(Some).map_err(|reason| anyhow::anyhow!("the manifest `{object}`: {reason}"))
    }

    pub(super) fn corrupt(&self, object: Object) -> anyhow::Error {
        hinted(
            format_args!("`{}` is not what its name says", self.path(object).display()),
            "remove it; `cargo xtask data pull` brings it back",
        )
    }

    /// Something that is to become the object.
    pub(super) fn incoming(&self, object: Object) -> anyhow::Result<AtomicFile> {
        AtomicFile::create(&self.path(object)).map_err(|error| self.unwritable(&error))
    }

    /// False, and nothing is kept, where other bytes came than its name says.
    pub(super) fn keep(
        &self,
        incoming: AtomicFile,
        md5: Md5,
        object: Object,
    ) -> anyhow::Result<bool> {
        if md5 != object.md5 {
            return Ok(false);
        }
        incoming.commit().map_err(|error| self.unwritable(&error))?;
        let read_only = std::fs::Permissions::from_mode(0o444);
        fs_err::set_permissions(self.path(object), read_only)?;
        Ok(true)
    }

    pub(super) fn unwritable(&self, error: &io::Error) -> anyhow::Error {
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space, or name another place in .dvc/config: [cache] and below it dir = \
                 FOLDER. What is there already is kept"
            }
            _ => "look whether it may be written",
        };
        hinted(format_args!("writing to the cache `{}`: {error}", self.folder.display()), hint)
    }

    /// Every object, and what writers that were killed left behind.
    pub(super) fn list(&self) -> anyhow::Result<(Vec<Object>, Vec<PathBuf>)> {
        let (mut objects, mut leftovers) = (Vec::new(), Vec::new());
        for folder in folders(&self.objects_folder())? {
            let first = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            for entry in fs_err::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if let Some(object) = name.to_str().and_then(|rest| Object::at(first, rest)) {
                    objects.push(object);
                } else if atomic::is_partial(&name) && !is_being_written(&name) {
                    leftovers.push(entry.path());
                }
            }
        }
        objects.sort();
        Ok((objects, leftovers))
    }

    pub(super) fn remove(&self, object: Object) -> anyhow::Result<()> {
        let path = self.path(object);
        fs_err::remove_file(&path).with_context(|| format!("removing `{}`", path.display()))
    }
}

fn folders(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|e| e.path())).collect();
    Ok(paths?.into_iter().filter(|path| path.is_dir()).collect())
}

fn is_being_written(name: &std::ffi::OsStr) -> bool {
    let pid = name.to_str().and_then(|name| name.rsplit_once(".partial-")?.1.split('.').next());
    pid.and_then(|pid| pid.parse().ok()).is_some_and(atomic::is_running)
}
