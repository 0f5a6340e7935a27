//! `.dvc` files: what Git keeps instead of the data. A new one has the bytes that DVC writes; of one that is there only
//! what changed is replaced, so that descriptions, `meta` and comments stay as they are.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use contract::atomic;
use serde::Deserialize;

use super::hinted;
use super::object::Object;
use super::scalar::scalar;

/// A `.dvc` file that was read.
#[derive(Debug, Clone)]
pub(super) struct Pointer {
    pub(super) outs: Vec<Out>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) path: PathBuf,
    pub(super) object: Object,
}

#[derive(Deserialize)]
struct Document {
    outs: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    md5: Option<String>,
    hash: Option<String>,
    path: String,
    /// What Git keeps itself is not in the cache.
    #[serde(default = "yes")]
    cache: bool,
}

fn yes() -> bool {
    true
}

impl Pointer {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        Self::parse(file, &fs_err::read_to_string(file)?)
    }

    /// `file` need not be there: its text may come from another commit.
    pub(super) fn parse(file: &Path, text: &str) -> anyhow::Result<Self> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let outs = outs(text, folder).map_err(|reason| {
            hinted(
                format_args!("`{}` is no pointer to data: {reason}", file.display()),
                "bring it back by `git checkout`, or write it anew by `cargo xtask data add`",
            )
        })?;
        Ok(Self { outs })
    }
}

fn outs(text: &str, folder: &Path) -> Result<Vec<Out>, String> {
    let document: Document = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    if document.outs.is_empty() {
        return Err("it has no `outs`".to_owned());
    }
    let mut outs = Vec::new();
    for entry in document.outs.into_iter().filter(|entry| entry.cache) {
        let md5 = entry.md5.ok_or_else(|| format!("`{}` has no md5", entry.path))?;
        if entry.hash.as_deref() != Some("md5") {
            return Err("it has no `hash: md5`, as before DVC 3".to_owned());
        }
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let path = Path::new(&entry.path);
        if entry.path.is_empty() || !path.components().all(inside) {
            return Err(format!("`{}` leads out of its folder", entry.path));
        }
        outs.push(Out { path: folder.join(path), object: md5.parse()? });
    }
    Ok(outs)
}

/// What a pointer says of one file or folder.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) object: Object,
    /// Bytes of all files together.
    pub(super) size: u64,
    /// Of a folder.
    pub(super) files: Option<usize>,
}

/// Makes `file` point to `content` under the name `name` beside it. What it says already is not written again.
pub(super) fn write(file: &Path, name: &str, content: &Content) -> anyhow::Result<()> {
    let before = match fs_err::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let text = match &before {
        None => fresh(name, content)?,
        Some(text) => changed(text, name, content).ok_or_else(|| {
            hinted(
                format_args!("`{}` says more than its data and cannot be changed", file.display()),
                "remove it, add the data again, and put back what it said",
            )
        })?,
    };
    if before.as_deref() == Some(&text) {
        return Ok(());
    }
    atomic::write_file(file, text.as_bytes())
        .with_context(|| format!("writing `{}`", file.display()))
}

fn fresh(name: &str, content: &Content) -> anyhow::Result<String> {
    let Content { object, size, files } = content;
    let md5 = scalar(&object.to_string()).map_err(anyhow::Error::msg)?;
    let files = files.map_or(String::new(), |files| format!("  nfiles: {files}\n"));
    let path = scalar(name).map_err(anyhow::Error::msg)?;
    Ok(format!("outs:\n- md5: {md5}\n  size: {size}\n{files}  hash: md5\n  path: {path}\n"))
}

/// The text with other values, if it is of one out that has all that is to be said, in lines of their own.
fn changed(text: &str, name: &str, content: &Content) -> Option<String> {
    let (head, rest) = text.split_once("outs:\n").filter(|(head, _)| starts_a_line(head))?;
    let size = content.size.to_string();
    let files = content.files.map(|files| files.to_string());
    let md5 = scalar(&content.object.to_string()).ok()?;
    let mut wanted = vec![("md5", md5.as_str()), ("size", &size)];
    wanted.extend(files.iter().map(|files| ("nfiles", files.as_str())));
    let mut out = String::new();
    let mut in_outs = true;
    for line in rest.split_inclusive('\n') {
        in_outs &= line.starts_with([' ', '-', '#', '\n']);
        let key = line.get(2..).and_then(|line| line.split_once(": ")).map(|(key, _)| key);
        let found = wanted.iter().position(|(wanted, _)| in_outs && key == Some(*wanted));
        match found.map(|at| wanted.remove(at)) {
            Some((key, value)) => {
                out.extend([&line[..2], key, ": ", value, "\n"]);
            }
            // Of a file that was a folder.
            None if in_outs && key == Some("nfiles") => {}
            None => out.push_str(line),
        }
    }
    let text = format!("{head}outs:\n{out}");
    let says = outs(&text, Path::new("")).ok()?;
    let one = Out { path: PathBuf::from(name), object: content.object };
    let complete = wanted.is_empty() && says == [one];
    if complete {
        return Some(text);
    }
    // Nothing else is lost where nothing else was said.
    let is_alone = outs(&format!("{head}outs:\n{rest}"), Path::new(""))
        .map_or(true, |outs| matches!(&outs[..], [out] if out.path == Path::new(name)));
    let is_plain = |line: &str| line.starts_with("- ") || is_plain(line);
    let bare = head.is_empty() && is_alone && rest.lines().all(is_plain);
    bare.then(|| fresh(name, content).ok())?
}

fn starts_a_line(head: &str) -> bool {
    head.is_empty() || head.ends_with('\n')
}

fn is_plain(line: &str) -> bool {
    ["md5", "size", "nfiles", "hash", "path"].iter().any(|key| {
        line.strip_prefix("  ").is_some_and(|line| line.starts_with(&format!("{key}: ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "da53321f3f556210ae72ca5d8f21fa8a.dir";

    fn content(object: &str, size: u64, files: Option<usize>) -> Content {
        Content { object: object.parse().unwrap(), size, files }
    }

    #[test]
    fn a_new_pointer_has_the_bytes_that_dvc_writes() {
        let expected = format!(
            "outs:\n- md5: {FOLDER}\n  size: 150\n  nfiles: 4\n  hash: md5\n  path: pictures\n"
        );
        assert_eq!(fresh("pictures", &content(FOLDER, 150, Some(4))).unwrap(), expected);
        let digits = "12345678901234567890123456789012";
        let quoted = fresh("a: b", &content(digits, 1, None)).unwrap();
        assert!(quoted.contains(&format!("md5: '{digits}'\n")), "{quoted}");
        assert!(quoted.ends_with("path: 'a: b'\n"), "{quoted}");
    }

    #[test]
    fn what_else_a_pointer_says_stays() {
        let text = format!(
            "# ours\ndesc: pictures\nmeta:\n  size: 7\nouts:\n- md5: {FOLDER}\n  size: 150\n  nfiles: 4\n  hash: md5\n  path: p\n  desc: all\n"
        );
        let other = "00000000000000000000000000000000.dir";
        let quoted = changed(&text, "p", &content(other, 3, Some(2))).unwrap();
        let expected = text.replace(FOLDER, other).replace("size: 150", "size: 3");
        assert_eq!(quoted, expected.replace("nfiles: 4", "nfiles: 2"));
        assert_eq!(changed(&text, "other", &content(other, 3, Some(2))), None);
    }

    #[test]
    fn what_points_nowhere_is_refused_by_its_reason() {
        for (text, reason) in [
            ("", "missing field `outs`"),
            ("outs: []\n", "no `outs`"),
            ("<<<<<<< ours\nouts:\n", "expected struct"),
            ("outs:\n- md5: 1234\n  hash: md5\n  path: a\n", "not an MD5"),
            ("outs:\n- md5: '1234'\n  hash: md5\n  path: a\n", "not an MD5"),
            ("outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: a\n", "before DVC 3"),
            (
                "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  hash: md5\n  path: ../a\n",
                "out of",
            ),
            ("outs:\n- hash: md5\n  path: a\n", "no md5"),
        ] {
            let error = Pointer::parse(Path::new("data/a.dvc"), text).unwrap_err().to_string();
            assert!(error.contains("data/a.dvc") && error.contains("hint: "), "{error}");
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
