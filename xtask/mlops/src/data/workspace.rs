//! The checkout: where pointers and data are, and what of it DVC looks at.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::atomic;
use ignore::WalkBuilder;

use super::cache::Cache;
use super::config::Config;
use super::pointer::{Out, Pointer};
use super::remote::Remote;
use super::{git, hinted};

pub(super) struct Workspace {
    /// Holds the folder `.dvc`.
    pub(super) root: PathBuf,
    pub(super) config: Config,
    pub(super) cache: Cache,
}

/// Of a checkout that gets its first pointer. What `data fetch` leaves beside the data is no data.
const IGNORED: &str = "\
# What is left out of versioned data, as .gitignore leaves it out of Git
/target
.DS_Store
.lock
.*.part
";

pub(super) fn is_pointer(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "dvc") && path.file_stem().is_some()
}

impl Workspace {
    /// Around the working directory.
    pub(super) fn open() -> anyhow::Result<Self> {
        let here = std::env::current_dir()?;
        Self::around(&here)?.ok_or_else(|| {
            hinted(
                format_args!("no data is versioned around `{}`", here.display()),
                "`cargo xtask data add PATH` begins it",
            )
        })
    }

    /// As [`open`](Self::open); where nothing was versioned yet, the checkout is made ready for it.
    pub(super) fn open_or_begin() -> anyhow::Result<Self> {
        let here = std::env::current_dir()?;
        if let Some(workspace) = Self::around(&here)? {
            return Ok(workspace);
        }
        let root = git::root(&here)?;
        let files = [
            (".dvcignore", IGNORED),
            (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
            (".dvc/config", ""),
        ];
        for (name, text) in files {
            let file = root.join(name);
            if !file.exists() {
                atomic::write_file(&file, text.as_bytes())?;
            }
        }
        Self::at(root)
    }

    fn around(here: &Path) -> anyhow::Result<Option<Self>> {
        let root = here.ancestors().find(|folder| folder.join(".dvc").is_dir());
        root.map(|root| Self::at(root.to_owned())).transpose()
    }

    fn at(root: PathBuf) -> anyhow::Result<Self> {
        let folder = root.join(".dvc");
        let config = Config::read(&folder)?;
        let cache = Cache::new(folder.join(config.get("cache", "dir").unwrap_or("cache")));
        Ok(Self { root, config, cache })
    }

    pub(super) fn remote(&self, name: Option<&str>, write: bool) -> anyhow::Result<Remote> {
        Remote::open(&self.config.remote(name)?, &self.root.join(".dvc"), write)
    }

    /// Those of `targets`, each a pointer or the data it points to; without any, all of the checkout.
    pub(super) fn pointers(&self, targets: &[PathBuf]) -> anyhow::Result<Vec<Pointer>> {
        if !targets.is_empty() {
            return targets.iter().map(|target| self.pointer(target)).collect();
        }
        let files = self.files(true)?;
        files.iter().filter(|file| is_pointer(file)).map(|file| Pointer::read(file)).collect()
    }

    /// Also what Git ignores: a pointer that it was told to track all the same is one.
    pub(super) fn all_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.files(false)
    }

    fn files(&self, as_git_sees: bool) -> anyhow::Result<Vec<PathBuf>> {
        let mut walk = WalkBuilder::new(&self.root);
        walk.standard_filters(false);
        walk.git_ignore(as_git_sees).git_exclude(as_git_sees).parents(as_git_sees);
        walk.add_custom_ignore_filename(".dvcignore");
        walk.filter_entry(|entry| !matches!(entry.file_name().to_str(), Some(".git" | ".dvc")));
        let mut files = Vec::new();
        for entry in walk.build() {
            let entry = entry?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                files.push(entry.into_path());
            }
        }
        files.sort();
        Ok(files)
    }

    fn pointer(&self, target: &Path) -> anyhow::Result<Pointer> {
        let target = std::path::absolute(target)?;
        let file = if is_pointer(&target) { target } else { beside(&target) };
        if !file.is_file() {
            return Err(hinted(
                format_args!("there is no pointer `{}`", self.shown(&file)),
                "`cargo xtask data status` lists all; `data add PATH` makes one",
            ));
        }
        Pointer::read(&file)
    }

    pub(super) fn outs(&self, targets: &[PathBuf]) -> anyhow::Result<Vec<Out>> {
        Ok(self.pointers(targets)?.into_iter().flat_map(|pointer| pointer.outs).collect())
    }

    /// As people read it.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The pointer of a file or folder.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".dvc");
    PathBuf::from(name)
}

/// What DVC leaves out without being told, of a clone inside of a folder too.
const OWN: [&str; 3] = [".git", ".hg", ".dvc"];

/// What is at `path` now.
pub(super) enum Found {
    Nothing,
    File,
    /// By path below it; what `.dvcignore` names is left out, and what is version control's own.
    Folder(BTreeMap<String, PathBuf>),
}

pub(super) fn look(path: &Path) -> anyhow::Result<Found> {
    let kind = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    if kind.is_file() {
        return Ok(Found::File);
    }
    if !kind.is_dir() {
        return Err(odd(path));
    }
    let mut walk = WalkBuilder::new(path);
    walk.standard_filters(false).parents(true).add_custom_ignore_filename(".dvcignore");
    walk.filter_entry(|entry| {
        entry.depth() == 0 || !OWN.iter().any(|own| entry.file_name() == *own)
    });
    let mut files = BTreeMap::new();
    for entry in walk.build() {
        let entry = entry?;
        let kind = entry.file_type().with_context(|| format!("`{}`", entry.path().display()))?;
        if kind.is_dir() || atomic::is_partial(entry.file_name()) {
            continue;
        }
        if !kind.is_file() {
            return Err(odd(entry.path()));
        }
        let below = git::utf8(entry.path().strip_prefix(path)?)?;
        files.insert(below.to_owned(), entry.into_path());
    }
    Ok(Found::Folder(files))
}

fn odd(path: &Path) -> anyhow::Error {
    hinted(
        format_args!("`{}` is neither file nor folder", path.display()),
        "put what it leads to in its place, or name it in .dvcignore",
    )
}
