//! A real repository for [`gitops::simulation`]: a bare remote, a clone, and everything by real git.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gitops::mainline::{Built, Mainline, Push, Update};
use gitops::object_id::CommitId;
use gitops::plan::Plan;
use gitops::simulation::{Edit, Sandbox};
use gitops::snapshot::{Blob, Blobs, Commit, Mark, Snapshot};
use jiff::Timestamp;
use tempfile::TempDir;

use super::{GitMainline, commit, log};
use crate::tools::git;

pub(crate) struct RealRepository {
    main: GitMainline,
    /// Whatever writes goes through here, so between writes nothing changes.
    loaded: Option<Arc<Snapshot>>,
    seen: Option<(Vec<Commit>, Vec<Mark>, Blobs)>,
    folder: TempDir,
}

impl RealRepository {
    pub(crate) fn new(files: &[Edit], clock: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let root = git::plumbing(folder.path());
        root.clone().args(["init", "--quiet", "--bare", "-b", "main", "remote"]).bytes().unwrap();
        root.args(["init", "--quiet", "-b", "main", "clone"]).bytes().unwrap();
        for (name, value) in [("user.name", "A Machine"), ("user.email", "machine@example.org")] {
            git::plumbing(&at("clone")).args(["config", name, value]).bytes().unwrap();
        }
        let remote = at("remote");
        let mut main = GitMainline::open(&at("clone"), remote.to_str().unwrap()).unwrap();
        main.clock = Some(clock);
        main.patience = Duration::ZERO;
        let empty =
            git::plumbing(&at("clone")).args(["hash-object", "-w", "-t", "tree", "--stdin"]);
        let tree = String::from_utf8(empty.input("").bytes().unwrap()).unwrap();
        let date = format!("@{} +0000", clock.as_second());
        let root = git::plumbing(&at("clone")).args(["commit-tree", tree.trim(), "-m", "nothing"]);
        let root = root.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        let root = String::from_utf8(root.bytes().unwrap()).unwrap().trim().parse().unwrap();
        let main_branch = Update { reference: "refs/heads/main".to_owned(), to: root };
        assert_eq!(main.push(&[main_branch]).unwrap(), Push::Done);
        let mut sandbox = Self { main, loaded: None, seen: None, folder };
        sandbox.commit_by_hand("begin", files);
        sandbox
    }

    /// The remote, in its folder `remote`.
    pub(crate) fn into_folder(self) -> TempDir {
        self.folder
    }
}

impl Mainline for RealRepository {
    type Error = anyhow::Error;

    fn load(&mut self) -> anyhow::Result<Arc<Snapshot>> {
        if let Some(loaded) = &self.loaded {
            return Ok(loaded.clone());
        }
        let loaded = self.main.load()?;
        self.loaded = Some(loaded.clone());
        Ok(loaded)
    }

    fn build(&mut self, plan: &Plan) -> anyhow::Result<Built> {
        self.main.build(plan)
    }

    fn push(&mut self, updates: &[Update]) -> anyhow::Result<Push> {
        self.loaded = None;
        self.seen = None;
        self.main.push(updates)
    }

    fn back_off(&mut self, lost: u32) {
        self.main.back_off(lost);
    }
}

impl Sandbox for RealRepository {
    fn set_clock(&mut self, now: Timestamp) {
        self.main.clock = Some(now);
    }

    fn commit_by_hand(&mut self, title: &str, edits: &[Edit]) -> CommitId {
        let (tip, _) = self.main.names().unwrap();
        self.main.fetch(tip).unwrap();
        let git = || self.main.git();
        let mut changed = commit::Edits::default();
        for edit in edits {
            match &edit.content {
                Some(content) => changed.write(&git, &edit.path, content).unwrap(),
                None => changed.remove(&edit.path),
            }
        }
        let to = commit::commit(&git, self.main.clock, tip, &changed, title).unwrap();
        let update = Update { reference: "refs/heads/main".to_owned(), to };
        assert_eq!(self.push(&[update]).unwrap(), Push::Done);
        to
    }

    fn evidence(&mut self) -> (Vec<Commit>, Vec<Mark>, Blobs) {
        if let Some(seen) = &self.seen {
            return seen.clone();
        }
        let mut seen = self.main.look().unwrap();
        // A snapshot wants the newest holds only, an auditor all of them.
        let files = seen.commits.iter().flat_map(|commit| &commit.touched);
        let entries: BTreeSet<_> = files.filter_map(|file| Some(file.entry?.blob)).collect();
        let names: Vec<_> = entries.iter().map(ToString::to_string).collect();
        let found = log::objects(&self.main.git(), &names).unwrap().into_iter();
        let found = entries.into_iter().zip(found.map(Option::unwrap));
        let missing = found.map(|(id, content)| (id, Arc::new(Blob::new(content))));
        seen.blobs.extend(missing);
        self.seen.insert((seen.commits, seen.marks, seen.blobs)).clone()
    }

    fn read(&mut self, commit: CommitId, paths: &[String]) -> Vec<Option<Vec<u8>>> {
        let names: Vec<_> = paths.iter().map(|path| format!("{commit}:{path}")).collect();
        log::objects(&self.main.git(), &names).unwrap()
    }
}
