//! A repository with data in it, in which DVC's commands and ours can be given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::process::{Ended, command, run};
use e2e::repo;
use e2e::served::python;
use tempfile::TempDir;

pub(crate) struct Checkout {
    _folder: TempDir,
    pub(crate) root: PathBuf,
}

impl Checkout {
    /// Empty, of Git alone.
    pub(crate) fn new() -> Self {
        let checkout = Self::nowhere();
        fs_err::create_dir(&checkout.root).unwrap();
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        checkout
    }

    /// As somebody else gets it: what Git has.
    pub(crate) fn clone_of(&self) -> Self {
        let clone = Self::nowhere();
        let mut git = command("git", &self.root);
        run(git.args(["clone", "--quiet"]).arg(&self.root).arg(&clone.root)).success();
        clone
    }

    fn nowhere() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("checkout");
        Self { _folder: folder, root }
    }

    /// For a remote of files.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.parent().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.root.join(name)).unwrap()
    }

    /// Settings of the remote that is pushed to, and pulled from.
    pub(crate) fn remote(&self, settings: &str) {
        let text = format!("[core]\n    remote = store\n['remote \"store\"']\n{settings}");
        self.write(".dvc/config", text);
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "data"]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        run(command("git", &self.root).args(identity).args(args)).success().stdout
    }

    pub(crate) fn data(&self) -> Command {
        let mut data = command(repo::release_binary("mlops"), &self.root);
        self.surroundings(&mut data);
        data.arg("data");
        data
    }

    pub(crate) fn ours(&self, args: &[&str]) -> Ended {
        run(self.data().args(args))
    }

    /// Fails, and says all of `told`, with a way forward.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], told: &[&str]) {
        let ended = self.ours(args);
        assert_eq!(ended.code, Some(1), "{} {}", ended.stdout, ended.stderr);
        for told in told.iter().chain(&["hint: "]) {
            assert!(ended.stderr.contains(told), "{told} is not in {}", ended.stderr);
        }
    }

    pub(crate) fn dvc(&self, args: &[&str]) -> String {
        let mut dvc = command(python().with_file_name("dvc"), &self.root);
        self.surroundings(&mut dvc);
        run(dvc.args(args)).success().stdout
    }

    fn surroundings(&self, command: &mut Command) {
        command.env("DVC_SITE_CACHE_DIR", self.beside("dvc")).env("DVC_NO_ANALYTICS", "1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("HOME", self.beside("home"));
    }

    /// Both agree that all is as the pointers say, here and on the remote.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        let told = self.dvc(&["status"]) + &self.dvc(&["status", "--cloud"]);
        assert!(told.contains("up to date") && told.contains("are in sync"), "{told}");
        assert!(self.dvc(&["data", "status"]).contains("No changes"));
        self.ours(&["verify", "--cloud"]).success();
        assert_eq!(self.git(&["status", "--porcelain"]), "");
    }
}

/// By path below `folder`.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs_err::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                // What is just being written may be gone.
                files.extend(fs_err::read(&path).ok().map(|content| (name, content)));
            }
        }
    }
    files
}
