//! [`Snapshot`]: main as it was at one moment, from plain data: commits with the files they touched
//! under `kustomize/`, marks, and the content of pins and holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use contract::digest::Digest;
use jiff::Timestamp;

use crate::change::{Change, ConfigId, Entry, Kind};
use crate::environment::{Environment, Environments, Part};
use crate::history::History;
use crate::holds::{Holds, UnreadableHolds};
use crate::object_id::{CommitId, ObjectId};
use crate::pin::Pinned;
use crate::signing::{Demand, Signing, UnreadableSigning};
use crate::trailers::Trailers;

/// One commit of main's first-parent line.
#[derive(Debug, Clone)]
pub struct Commit {
    pub id: CommitId,
    pub committed_at: Timestamp,
    pub message: String,
    /// Compared with the first parent, under `kustomize/` only.
    pub touched: Vec<Touched>,
}

#[derive(Debug, Clone)]
pub struct Touched {
    pub path: String,
    /// None where the commit removed the file.
    pub entry: Option<Entry>,
}

/// A name in Git that says something of a Change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub kind: MarkKind,
    pub environment: String,
    /// The Change it is about: part of the name.
    pub change: CommitId,
    /// Where the name points to.
    pub target: CommitId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkKind {
    /// Tag: the smoke test passed for exactly this commit.
    Verified,
    /// Tag on the commit that undid the Change.
    RolledBack,
    /// Branch that proposes to undo the Change.
    Proposed,
}

impl MarkKind {
    pub const ALL: [Self; 3] = [Self::Verified, Self::RolledBack, Self::Proposed];

    fn prefix(self) -> &'static str {
        match self {
            Self::Verified => "refs/tags/verified",
            Self::RolledBack => "refs/tags/rollback",
            Self::Proposed => "refs/heads/proposal",
        }
    }

    /// The ref of such a mark, where all may see it.
    pub fn reference(self, environment: &Environment, change: CommitId) -> String {
        format!("{}/{environment}/{change}", self.prefix())
    }
}

impl Mark {
    /// None for a name that only looks alike.
    pub fn parse(reference: &str, target: CommitId) -> Option<Self> {
        let (kind, rest) = MarkKind::ALL.into_iter().find_map(|kind| {
            Some((kind, reference.strip_prefix(kind.prefix())?.strip_prefix('/')?))
        })?;
        let (environment, change) = rest.split_once('/')?;
        let change: CommitId = change.parse().ok()?;
        let believed = kind != MarkKind::Verified || change == target;
        believed.then(|| Self { kind, environment: environment.to_owned(), change, target })
    }
}

/// Content by blob. What is missing here reads as unreadable.
pub type Blobs = HashMap<ObjectId, Arc<Blob>>;

/// Content of a file, read as a pin once at most.
#[derive(Debug)]
pub struct Blob {
    content: Vec<u8>,
    pinned: OnceLock<Pinned>,
}

impl Blob {
    pub fn new(content: Vec<u8>) -> Self {
        Self { content, pinned: OnceLock::new() }
    }

    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// `id` is the blob's own.
    pub fn pinned(&self, id: ObjectId) -> &Pinned {
        self.pinned.get_or_init(|| Pinned::read(id, &self.content))
    }
}

#[derive(Debug)]
pub struct Snapshot {
    pub(crate) commits: Vec<CommitId>,
    pub(crate) positions: HashMap<CommitId, usize>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) blobs: Blobs,
    pub(crate) holds: Result<Holds, UnreadableHolds>,
    signing: Result<Signing, UnreadableSigning>,
    environments: Environments,
    changes: BTreeMap<Environment, Arc<Vec<Change>>>,
}

impl Snapshot {
    /// From commits oldest first; there is at least one.
    pub fn new(commits: &[Commit], marks: Vec<Mark>, blobs: Blobs) -> Option<Self> {
        let mut fold = Fold::default();
        for (position, commit) in commits.iter().enumerate() {
            fold.add(position, commit);
        }
        let holds = fold.holds.map_or_else(
            || Ok(Holds::default()),
            |entry| match blobs.get(&entry.blob) {
                Some(blob) => Holds::read(blob.content()),
                None => Err(UnreadableHolds(format!("blob {} was not loaded", entry.blob))),
            },
        );
        let signing = fold.signing.map_or_else(
            || Ok(Signing::default()),
            |entry| match blobs.get(&entry.blob) {
                Some(blob) => Signing::read(blob.content()),
                None => Err(UnreadableSigning(format!("blob {} was not loaded", entry.blob))),
            },
        );
        let there = fold.tracks.iter().filter(|(_, track)| track.exists());
        let environments = there.map(|(environment, _)| environment.clone()).collect();
        let tracks = fold.tracks.into_iter();
        let ids = commits.iter().map(|commit| commit.id);
        (!commits.is_empty()).then(|| Self {
            commits: ids.clone().collect(),
            positions: ids.enumerate().map(|(position, id)| (id, position)).collect(),
            marks,
            blobs,
            holds,
            signing,
            environments,
            changes: tracks.map(|(name, track)| (name, Arc::new(track.changes))).collect(),
        })
    }

    /// The newest commit: what a plan is computed on, and what a push compares with.
    pub fn tip(&self) -> CommitId {
        *self.commits.last().expect("a snapshot has at least one commit")
    }

    pub fn environments(&self) -> &Environments {
        &self.environments
    }

    pub fn holds(&self) -> Result<&Holds, &UnreadableHolds> {
        self.holds.as_ref()
    }

    /// How an image must be signed to be pinned.
    pub fn signing(&self) -> Demand<'_> {
        self.signing.as_ref()
    }

    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    pub fn history(self: &Arc<Self>, environment: &Environment) -> History {
        let changes = self.changes.get(environment).cloned().unwrap_or_default();
        History::new(self.clone(), environment.clone(), changes)
    }
}

/// The blobs whose content a [`Snapshot`] of these commits wants.
pub fn wanted_blobs(commits: &[Commit]) -> BTreeSet<ObjectId> {
    let (mut holds, mut signing) = (None, None);
    let mut wanted = BTreeSet::new();
    for touched in commits.iter().flat_map(|commit| &commit.touched) {
        match Part::of(&touched.path) {
            Part::Pin(_) => wanted.extend(touched.entry.map(|entry| entry.blob)),
            Part::Holds => holds = touched.entry,
            Part::Signing => signing = touched.entry,
            _ => {}
        }
    }
    wanted.extend([holds, signing].into_iter().flatten().map(|entry| entry.blob));
    wanted
}

#[derive(Default)]
struct Fold {
    shared: Files,
    holds: Option<Entry>,
    signing: Option<Entry>,
    tracks: BTreeMap<Environment, Track>,
}

#[derive(Default)]
struct Track {
    pin: Option<Entry>,
    overlay: Files,
    changes: Vec<Change>,
}

impl Track {
    /// An overlay counts as an environment from its first pin until all of it is gone.
    fn exists(&self) -> bool {
        !self.changes.is_empty() && (self.pin.is_some() || !self.overlay.entries.is_empty())
    }
}

/// Files by path, and one digest of them all.
#[derive(Default)]
struct Files {
    entries: BTreeMap<String, Entry>,
    digest: Option<Digest>,
}

impl Files {
    fn set(&mut self, touched: &Touched) {
        match touched.entry {
            Some(entry) => self.entries.insert(touched.path.clone(), entry),
            None => self.entries.remove(&touched.path),
        };
        self.digest = None;
    }

    fn digest(&mut self) -> Digest {
        *self.digest.get_or_insert_with(|| {
            let lines = self.entries.iter();
            let lines =
                lines.map(|(path, Entry { mode, blob })| format!("{mode:o} {blob} {path}\0"));
            Digest::of(lines.collect::<String>().as_bytes())
        })
    }
}

impl Fold {
    fn add(&mut self, position: usize, commit: &Commit) {
        if commit.touched.is_empty() {
            return;
        }
        let parts: Vec<Part> =
            commit.touched.iter().map(|touched| Part::of(&touched.path)).collect();
        let mut pins = BTreeSet::new();
        let mut overlays = BTreeSet::new();
        for (touched, part) in commit.touched.iter().zip(&parts) {
            match part {
                Part::Pin(environment) => {
                    self.tracks.entry(environment.clone()).or_default().pin = touched.entry;
                    pins.insert(environment);
                }
                Part::Overlay(environment) => {
                    self.tracks.entry(environment.clone()).or_default().overlay.set(touched);
                    overlays.insert(environment);
                }
                Part::Shared => self.shared.set(touched),
                Part::Holds => self.holds = touched.entry,
                Part::Signing => self.signing = touched.entry,
                Part::Other => {}
            }
        }
        let trailers = Trailers::parse(&commit.message);
        let shared = parts.contains(&Part::Shared);
        let holds = parts.contains(&Part::Holds);
        for (environment, track) in &mut self.tracks {
            let alters_pin = pins.contains(environment);
            let alters_config = shared || overlays.contains(environment);
            // Before its first pin an overlay is only a folder.
            if track.changes.is_empty() && track.pin.is_none() {
                continue;
            }
            if !alters_pin && !alters_config && !holds {
                continue;
            }
            let both = [self.shared.digest().to_string(), track.overlay.digest().to_string()];
            track.changes.push(Change {
                commit: commit.id,
                committed_at: commit.committed_at,
                kind: Kind::of(&trailers, environment, &parts),
                title: commit.message.lines().next().unwrap_or_default().to_owned(),
                trailers: trailers.clone(),
                position,
                pin: track.pin,
                config: ConfigId(Digest::of(both.concat().as_bytes())),
                alters_pin,
                alters_config,
            });
        }
    }
}
