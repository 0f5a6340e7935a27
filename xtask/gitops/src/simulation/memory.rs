//! Main in memory, with the semantics that count: a push is all or nothing, a branch only moves to a
//! descendant, a mark is only created.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

use contract::digest::Digest;
use jiff::Timestamp;

use super::{Edit, Sandbox};
use crate::admit::RenderInputs;
use crate::change::Entry;
use crate::environment::{BASE, COMPONENTS, Environment};
use crate::mainline::{Built, MAIN, Mainline, Push, Update};
use crate::object_id::{CommitId, ObjectId};
use crate::plan::{File, Plan};
use crate::snapshot::{Blob, Blobs, Commit, Mark, Snapshot, Touched};

type Tree = BTreeMap<String, Entry>;

#[derive(Debug)]
pub struct Memory {
    commits: HashMap<CommitId, Node>,
    blobs: Blobs,
    references: BTreeMap<String, CommitId>,
    clock: Timestamp,
    /// The disease of the push's cure: main goes wherever it is told, and marks are moved.
    forced: bool,
    loaded: Option<Arc<Snapshot>>,
}

#[derive(Debug)]
struct Node {
    parent: Option<CommitId>,
    tree: Arc<Tree>,
    log: Commit,
}

impl Memory {
    pub fn new(files: &[Edit], clock: Timestamp) -> Self {
        let mut memory = Self {
            commits: HashMap::new(),
            blobs: Blobs::new(),
            references: BTreeMap::new(),
            clock,
            forced: false,
            loaded: None,
        };
        let tree = memory.edited(&Tree::new(), files);
        let root = memory.commit(None, tree, "begin");
        memory.references.insert(MAIN.to_owned(), root);
        memory
    }

    #[must_use]
    pub fn forced(mut self) -> Self {
        self.forced = true;
        self
    }

    fn tip(&self) -> CommitId {
        self.references[MAIN]
    }

    fn tree(&self, commit: CommitId) -> Arc<Tree> {
        self.commits.get(&commit).map(|node| node.tree.clone()).unwrap_or_default()
    }

    fn write(&mut self, content: &str) -> Entry {
        let blob = object_id(content.as_bytes());
        self.blobs.entry(blob).or_insert_with(|| Arc::new(Blob::new(content.into())));
        Entry { mode: 0o100_644, blob }
    }

    fn edited(&mut self, tree: &Tree, edits: &[Edit]) -> Tree {
        let mut tree = tree.clone();
        for edit in edits {
            match &edit.content {
                Some(content) => tree.insert(edit.path.clone(), self.write(content)),
                None => tree.remove(&edit.path),
            };
        }
        tree
    }

    fn commit(&mut self, parent: Option<CommitId>, tree: Tree, message: &str) -> CommitId {
        let before = parent.map(|parent| self.tree(parent)).unwrap_or_default();
        let touched = differences(&before, &tree);
        let name = format!("{parent:?} {:?} {message} {touched:?} {}", self.clock, tree.len());
        let id = object_id(name.as_bytes());
        let log = Commit { id, committed_at: self.clock, message: message.to_owned(), touched };
        self.commits.insert(id, Node { parent, tree: Arc::new(tree), log });
        id
    }

    fn is_ancestor(&self, ancestor: CommitId, mut commit: CommitId) -> bool {
        loop {
            if commit == ancestor {
                return true;
            }
            match self.commits.get(&commit).and_then(|node| node.parent) {
                Some(parent) => commit = parent,
                None => return false,
            }
        }
    }

    fn may_update(&self, update: &Update) -> bool {
        match self.references.get(&update.reference) {
            None => true,
            Some(old) if update.reference == MAIN => self.is_ancestor(*old, update.to),
            Some(old) => *old == update.to,
        }
    }

    fn log(&self) -> Vec<Commit> {
        let mut log = Vec::new();
        let mut next = Some(self.tip());
        while let Some(node) = next.and_then(|id| self.commits.get(&id)) {
            log.push(node.log.clone());
            next = node.parent;
        }
        log.reverse();
        log
    }

    fn marks(&self) -> Vec<Mark> {
        self.references.iter().filter_map(|(name, id)| Mark::parse(name, *id)).collect()
    }

    fn inputs(&self, commit: CommitId, environment: &Environment) -> RenderInputs {
        let tree = self.tree(commit);
        let of = |folder: &str| {
            let below = format!("{folder}/");
            let files = tree.iter().filter(|(path, _)| path.starts_with(&below));
            let files: Vec<_> = files.collect();
            (!files.is_empty()).then(|| object_id(format!("{files:?}").as_bytes()))
        };
        RenderInputs {
            base: of(BASE),
            components: of(COMPONENTS),
            overlay: of(&environment.overlay()),
        }
    }
}

impl Mainline for Memory {
    type Error = Infallible;

    fn load(&mut self) -> Result<Arc<Snapshot>, Infallible> {
        if let Some(loaded) = &self.loaded {
            return Ok(loaded.clone());
        }
        let snapshot = Snapshot::new(&self.log(), self.marks(), self.blobs.clone());
        let snapshot = Arc::new(snapshot.expect("main begins with a commit"));
        self.loaded = Some(snapshot.clone());
        Ok(snapshot)
    }

    fn build(&mut self, plan: &Plan) -> Result<Built, Infallible> {
        let mut tree = (*self.tree(plan.parent)).clone();
        for file in &plan.files {
            match file {
                File::Write { path, content } => {
                    let entry = self.write(content);
                    tree.insert(path.clone(), entry);
                }
                File::Restore { path, from } => {
                    let below = format!("{path}/");
                    let within = |name: &String| name == path || name.starts_with(&below);
                    tree.retain(|name, _| !within(name));
                    let old = self.tree(*from);
                    let old = old.iter().filter(|(name, _)| within(name));
                    tree.extend(old.map(|(name, entry)| (name.clone(), *entry)));
                }
            }
        }
        let commit = self.commit(Some(plan.parent), tree, &plan.message());
        let touched = &self.commits[&commit].log.touched;
        Ok(Built {
            commit,
            touched: touched.iter().map(|touched| touched.path.clone()).collect(),
            inputs: self.inputs(commit, &plan.environment),
            promised: plan.identical_to.map(|id| self.inputs(id, &plan.environment)),
        })
    }

    fn push(&mut self, updates: &[Update]) -> Result<Push, Infallible> {
        if !self.forced && !updates.iter().all(|update| self.may_update(update)) {
            return Ok(Push::Lost);
        }
        for update in updates {
            self.references.insert(update.reference.clone(), update.to);
        }
        self.loaded = None;
        Ok(Push::Done)
    }

    fn back_off(&mut self, _lost: u32) {}
}

impl Sandbox for Memory {
    fn set_clock(&mut self, now: Timestamp) {
        self.clock = now;
    }

    fn commit_by_hand(&mut self, title: &str, edits: &[Edit]) -> CommitId {
        let tree = self.edited(&self.tree(self.tip()), edits);
        let commit = self.commit(Some(self.tip()), tree, title);
        self.references.insert(MAIN.to_owned(), commit);
        self.loaded = None;
        commit
    }

    fn evidence(&mut self) -> (Vec<Commit>, Vec<Mark>, Blobs) {
        (self.log(), self.marks(), self.blobs.clone())
    }

    fn read(&mut self, commit: CommitId, paths: &[String]) -> Vec<Option<Vec<u8>>> {
        let tree = self.tree(commit);
        let read = |path| self.blobs.get(&tree.get(path)?.blob).map(|blob| blob.content().to_vec());
        paths.iter().map(read).collect()
    }
}

fn differences(before: &Tree, after: &Tree) -> Vec<Touched> {
    let removed = before.keys().filter(|path| !after.contains_key(*path));
    let removed = removed.map(|path| Touched { path: path.clone(), entry: None });
    let written = after.iter().filter(|(path, entry)| before.get(*path) != Some(entry));
    let written = written.map(|(path, entry)| Touched { path: path.clone(), entry: Some(*entry) });
    let touched = removed.chain(written);
    touched.filter(|touched| touched.path.starts_with(crate::environment::ROOT)).collect()
}

fn object_id(content: &[u8]) -> ObjectId {
    let hex = Digest::of(content).hex();
    hex[..40].parse().expect("40 of 64 hex digits are hex digits")
}
