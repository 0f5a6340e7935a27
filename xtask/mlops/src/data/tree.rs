//! The manifest of a folder: which content lies under which path. Its bytes are hashed, so they are exactly those that
//! DVC writes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::object::{Md5, Object, json_string};

/// By relative path, `/` between components; sorted by the whole text, as in the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree(pub(super) BTreeMap<String, Md5>);

#[derive(Deserialize)]
struct Entry {
    md5: String,
    relpath: String,
}

impl Tree {
    pub(super) fn to_json(&self) -> String {
        let mut json = "[".to_owned();
        for (path, md5) in &self.0 {
            let comma = if json.len() > 1 { ", " } else { "" };
            let path = json_string(path);
            write!(json, "{comma}{{\"md5\": \"{md5}\", \"relpath\": {path}}}")
                .expect("writing to a String cannot fail");
        }
        json.push(']');
        json
    }

    /// Paths that would lead out of the folder are refused: a manifest may come from anywhere.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        let entries: Vec<Entry> =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut tree = BTreeMap::new();
        for Entry { md5, relpath } in entries {
            let stays = relpath.split('/').all(|part| !matches!(part, "" | "." | ".."));
            if !stays || relpath.contains('\0') {
                return Err(format!("`{relpath}` is no path inside a folder"));
            }
            if tree.insert(relpath.clone(), md5.parse()?).is_some() {
                return Err(format!("`{relpath}` is there twice"));
            }
        }
        Ok(Self(tree))
    }

    pub(super) fn object(&self) -> Object {
        Object::folder(Md5::of(self.to_json().as_bytes()))
    }

    /// Every content once.
    pub(super) fn files(&self) -> impl Iterator<Item = Object> {
        let unique: std::collections::BTreeSet<Md5> = self.0.values().copied().collect();
        unique.into_iter().map(Object::file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each file's content is `content of NAME` and a newline; the manifest's name is what `dvc add` gave it.
    #[test]
    fn a_manifest_has_the_bytes_that_dvc_writes() {
        let names = ["t10k-images", "t10k-labels", "train-images", "train-labels"];
        let kinds = ["idx3", "idx1", "idx3", "idx1"];
        let files = names.iter().zip(kinds).map(|(name, kind)| {
            let name = format!("{name}-{kind}-ubyte.gz");
            let md5 = Md5::of(format!("content of {name}\n").as_bytes());
            (name, md5)
        });
        let tree = Tree(files.collect());
        assert_eq!(tree.object().to_string(), "da53321f3f556210ae72ca5d8f21fa8a.dir");
        assert_eq!(Tree::from_json(tree.to_json().as_bytes()), Ok(tree));
    }

    #[test]
    fn paths_are_sorted_and_escaped_as_python_does_it() {
        let md5 = Md5::of(b"");
        let paths = ["a/b", "a.txt", "a-b", "é", "😀", "\u{7f}\"\\\n"];
        let tree = Tree(paths.iter().map(|path| ((*path).to_owned(), md5)).collect());
        let json = tree.to_json();
        let at = |text: &str| json.find(text).unwrap_or_else(|| panic!("{text} is not in {json}"));
        assert!(at("a-b") < at("a.txt") && at("a.txt") < at("a/b"), "{json}");
        assert!(json.is_ascii(), "{json}");
        for escaped in [r#""\u00e9""#, r#""\ud83d\ude00""#, r#""\u007f\"\\\n""#] {
            at(escaped);
        }
        assert_eq!(Tree::from_json(json.as_bytes()), Ok(tree));
    }

    #[test]
    fn a_manifest_that_leads_out_of_its_folder_is_refused() {
        for path in ["../x", "/etc/x", "a//b", "a/./b", "..", ""] {
            let md5 = Md5::of(b"");
            let json = format!("[{{\"md5\": \"{md5}\", \"relpath\": \"{path}\"}}]");
            assert!(Tree::from_json(json.as_bytes()).is_err(), "{path}");
        }
        for json in ["", "{}", "[{}]", "[{\"md5\": \"x\", \"relpath\": \"a\"}]"] {
            assert!(Tree::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
