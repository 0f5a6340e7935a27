//! `data add`: takes files or folders into the cache and writes their pointers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use fs_err::OpenOptions;

use super::object::{Md5, Object};
use super::pointer::{self, Content, Pointer};
use super::scalar::scalar;
use super::together::together;
use super::tree::Tree;
use super::workspace::{self, Found, Workspace, beside, look};
use super::{counted, git, hinted, told};

/// Version files or folders: their contents go into the cache, Git gets a pointer
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and folders of the checkout; those that have a pointer already get it renewed
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::open_or_begin()?;
        let pointers = workspace.pointers(&[])?;
        let paths = self.paths.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
        for (index, path) in paths.iter().enumerate() {
            if let Some(outer) = paths[..index]
                .iter()
                .chain(&paths[index + 1..])
                .find(|other| path.starts_with(other))
            {
                let (inner, outer) = (workspace.shown(path), workspace.shown(outer));
                return Err(hinted(format_args!("`{inner}` is in `{outer}`"), "add one of them"));
            }
        }
        for path in paths {
            let name = name(&path)?;
            admissible(&workspace, &pointers, &path)?;
            let content = take(&workspace, &path)?;
            let file = beside(&path);
            pointer::write(&file, name, &content)?;
            ignore(&workspace, &path)?;
            let files = content.files.map_or(String::new(), |n| counted(n, "file") + ", ");
            told(format_args!("{}: {files}{} bytes", workspace.shown(&file), content.size))?;
        }
        Ok(())
    }
}

/// As its pointer has it.
fn name(path: &Path) -> anyhow::Result<&str> {
    git::utf8(path)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    scalar(name).map_err(|reason| hinted(reason, "rename it"))?;
    Ok(name)
}

fn admissible(workspace: &Workspace, pointers: &[Pointer], path: &Path) -> anyhow::Result<()> {
    let shown = workspace.shown(path);
    if path == workspace.root {
        return Err(hinted("this is the whole checkout", "name files and folders in it"));
    }
    if !path.starts_with(&workspace.root) || path.components().any(|part| part.as_os_str() == "..")
    {
        let what = format!("`{shown}` is not below `{}`", workspace.root.display());
        return Err(hinted(what, "copy it into the checkout"));
    }
    let own = [".dvc", ".git"].map(|own| workspace.root.join(own));
    if own.iter().any(|own| path.starts_with(own)) || workspace::is_pointer(path) {
        return Err(hinted(format_args!("`{shown}` is no data"), "name the data it stands for"));
    }
    for out in pointers.iter().flat_map(|pointer| &pointer.outs) {
        if out.path != path && (out.path.starts_with(path) || path.starts_with(&out.path)) {
            let other = workspace.shown(&out.path);
            return Err(hinted(
                format_args!("`{shown}` and `{other}`, which is versioned already, overlap"),
                format_args!("add `{other}`, or remove its pointer first"),
            ));
        }
    }
    if git::ignores(&workspace.root, &beside(path))? {
        return Err(hinted(
            format_args!("the pointer `{shown}.dvc` would be ignored by Git"),
            "let .gitignore name what lies in the folder, with an exception: !*.dvc",
        ));
    }
    if git::tracks(&workspace.root, path)? {
        return Err(hinted(
            format_args!("`{shown}` is in Git itself"),
            format_args!("take it out there first: git rm -r --cached {shown}"),
        ));
    }
    Ok(())
}

fn take(workspace: &Workspace, path: &Path) -> anyhow::Result<Content> {
    match look(path)? {
        Found::Nothing => {
            let what = format!("`{}` is not there", workspace.shown(path));
            Err(hinted(what, "`cargo xtask data pull` brings what has a pointer"))
        }
        Found::File => {
            let (md5, size) = Md5::of_file(path)?;
            workspace.cache.take(path, Object::file(md5))?;
            Ok(Content { object: Object::file(md5), size, files: None })
        }
        Found::Folder(files) => folder(workspace, &files),
    }
}

fn folder(workspace: &Workspace, files: &BTreeMap<String, PathBuf>) -> anyhow::Result<Content> {
    let paths: Vec<&PathBuf> = files.values().collect();
    let taken = together(&paths, |file| {
        let (md5, size) = Md5::of_file(file)?;
        workspace.cache.take(file, Object::file(md5))?;
        Ok((md5, size))
    })?;
    let tree = Tree(files.keys().cloned().zip(taken.iter().map(|(md5, _)| *md5)).collect());
    // After all that it names.
    let object = workspace.cache.take_tree(&tree)?;
    let size = taken.iter().map(|(_, size)| size).sum();
    Ok(Content { object, size, files: Some(tree.0.len()) })
}

/// Git keeps the pointer alone.
fn ignore(workspace: &Workspace, path: &Path) -> anyhow::Result<()> {
    if git::ignores(&workspace.root, path)? {
        return Ok(());
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    // Appended, so that two who add at once both have their line.
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).open(folder.join(".gitignore"))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let end = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
    Ok(file.write_all(format!("{end}/{}\n", pattern(&name.to_string_lossy())).as_bytes())?)
}

/// That matches the name and no other.
fn pattern(name: &str) -> String {
    let escaped = |mut pattern: String, character: char| {
        if "[]!*#?\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
        pattern
    };
    // Git leaves out spaces at the end of a line.
    let kept = name.trim_end_matches(' ');
    kept.chars().fold(String::new(), escaped) + &"\\ ".repeat(name.len() - kept.len())
}
