//! What appeared in the checkout while its tests ran: they have folders of their own to write to.

use std::collections::BTreeSet;

use crate::process::Cmd;
use crate::repo::{Repo, read_task};
use crate::tools::cargo;

/// What Git does not know in a checkout, at one moment.
pub(crate) struct Unknown(BTreeSet<String>);

impl Unknown {
    /// `None` outside of a Git repository.
    pub(crate) fn of(repo: &Repo) -> Option<Self> {
        let status = Cmd::new("git", repo.root())
            .args(["status", "--porcelain", "-z", "--ignored=matching"])
            .read()
            .ok()?;
        let path = |entry: &str| {
            let unknown = entry.strip_prefix("?? ").or_else(|| entry.strip_prefix("!! "))?;
            Some(unknown.trim_end_matches('/').to_owned())
        };
        Some(Self(status.split('\0').filter_map(path).collect()))
    }

    /// What is here now and was not then, but for what every command of a user makes: the build,
    /// libtorch's link, the data.
    pub(crate) fn since(&self, repo: &Repo) -> Vec<String> {
        let mut expected = vec![repo.libtorch()];
        expected.extend(cargo::release_folder().ok().and_then(|f| Some(f.parent()?.to_owned())));
        expected.extend(read_task(&repo.task_file()).ok().map(|task| repo.data(&task.data.name)));
        let is_expected = |path: &&String| expected.contains(&repo.path(path));
        let now = Self::of(repo).map(|now| now.0).unwrap_or_default();
        now.difference(&self.0).filter(|path| !is_expected(path)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_appears_in_a_checkout_is_told_whether_git_ignores_it_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| Cmd::new("git", folder.path()).args(args).read().unwrap();
        git(&["init", "--quiet"]);
        let put = |path: &str| {
            let path = folder.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        };
        fs_err::write(folder.path().join(".gitignore"), "/runs\n/model/data/*/\n/.libtorch\n")
            .unwrap();
        put("of a person");
        put("model/data/before/file");
        let repo = Repo::at(folder.path());
        let before = Unknown::of(&repo).unwrap();
        assert_eq!(before.since(&repo), Vec::<String>::new());
        for path in ["runs/1/run.json", "model/data/wrong-1/file", "a new one", ".libtorch/lib"] {
            put(path);
        }
        assert_eq!(before.since(&repo), ["a new one", "model/data/wrong-1", "runs"]);
    }
}
