//! [`Identity::apply`]: one identity takes another's place, in every file that names it.

use anyhow::ensure;
use contract::atomic;
use fs_err as fs;
use gitops::environment::Environments;

use super::{Identity, PROJECT, RELEASE, ROOT, files};
use crate::repo::Repo;

impl Identity {
    /// Writes it wherever `self` stands. What names the root comes last, so that a run that was cut short
    /// is finished by the next; the files that were changed are returned.
    pub(crate) fn apply(
        &self,
        new: &Self,
        repo: &Repo,
        environments: &Environments,
    ) -> anyhow::Result<Vec<String>> {
        let names: Vec<(String, String)> =
            self.names(environments).into_iter().zip(new.names(environments)).collect();
        let mut changes = Vec::new();
        // All are read before any is written: what cannot be read leaves the others as they are.
        for file in files(repo)? {
            let old = fs::read_to_string(repo.path(&file))?;
            let text = self.rewritten(&file, &old, new, &names);
            if text != old {
                changes.push((file, text));
            }
        }
        for (file, text) in &changes {
            atomic::write_file(&repo.path(file), text.as_bytes())?;
        }
        new.stands_in(repo)?;
        Ok(changes.into_iter().map(|(file, _)| file).collect())
    }

    /// Of Applications and namespaces, that of the root last.
    pub(crate) fn names(&self, environments: &Environments) -> Vec<String> {
        let names = environments.iter().map(|environment| self.environment(environment.name()));
        names.chain([self.monitoring(), self.root()]).collect()
    }

    fn rewritten(&self, file: &str, text: &str, new: &Self, names: &[(String, String)]) -> String {
        let text = text
            .replace(&self.repository, &new.repository)
            .replace(&self.api(), &new.api())
            .replace(&self.page(), &new.page())
            .replace(&self.selector(), &new.selector())
            .replace(&in_json(&self.selector()), &in_json(&new.selector()));
        let mut text = replace_words(&text, names);
        text = replace_values(&text, "IMAGE: ", &self.image, &new.image);
        text = replace_values(&text, "project: ", &self.prefix, &new.prefix);
        if file == PROJECT {
            text = replace_values(&text, "name: ", &self.prefix, &new.prefix);
        }
        text
    }

    /// In front of files of the repository: the workflow that signs is named so.
    fn page(&self) -> String {
        format!("{}/", self.repository.strip_suffix(".git").unwrap_or(&self.repository))
    }

    /// A line may be written in a way that is not known here.
    fn stands_in(&self, repo: &Repo) -> anyhow::Result<()> {
        let present = Self::read(repo)?;
        for (file, what, present, wanted) in [
            (ROOT, "repoURL", &present.repository, &self.repository),
            (RELEASE, "env.IMAGE", &present.image, &self.image),
            (ROOT, "the prefix of its name", &present.prefix, &self.prefix),
        ] {
            ensure!(
                present == wanted,
                "{file}: {what} is still `{present}`, write `{wanted}` there"
            );
        }
        Ok(())
    }
}

/// As it stands within a JSON text.
fn in_json(text: &str) -> String {
    text.replace('"', "\\\"")
}

/// Whole names only, and none twice: a new name may be the old one of another.
fn replace_words(text: &str, names: &[(String, String)]) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '-';
    text.split_inclusive(|letter| !is_part(letter))
        .map(|piece| {
            let word = piece.trim_end_matches(|letter| !is_part(letter));
            match names.iter().find(|(old, _)| old == word) {
                Some((_, new)) => format!("{new}{}", &piece[word.len()..]),
                None => piece.to_owned(),
            }
        })
        .collect()
}

/// Only where it is all that a line says of `key`, in quotes or not, with a comment or not.
fn replace_values(text: &str, key: &str, old: &str, new: &str) -> String {
    let replaced = |line: &str| {
        let value = line.trim_start().strip_prefix(key)?.trim_start_matches([' ', '"', '\'']);
        let after = value.strip_prefix(old)?;
        let ends = |letter: char| letter.is_whitespace() || "\"'".contains(letter);
        let before = &line[..line.len() - value.len()];
        (after.is_empty() || after.starts_with(ends)).then(|| format!("{before}{new}{after}"))
    };
    text.split_inclusive('\n')
        .map(|line| replaced(line).unwrap_or_else(|| line.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_however_it_is_written_and_nothing_that_begins_with_it() {
        for (line, expected) in [
            ("IMAGE: a.b/c\n", "IMAGE: x.y/z\n"),
            ("  IMAGE:  'a.b/c'  # ours\r\n", "  IMAGE:  'x.y/z'  # ours\r\n"),
            ("IMAGE: \"a.b/c\"", "IMAGE: \"x.y/z\""),
            ("IMAGE: a.b/c-d\n", "IMAGE: a.b/c-d\n"),
            ("OTHER_IMAGE: a.b/c\n", "OTHER_IMAGE: a.b/c\n"),
        ] {
            assert_eq!(replace_values(line, "IMAGE: ", "a.b/c", "x.y/z"), expected);
        }
    }
}
