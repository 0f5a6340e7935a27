//! [`History`]: the ordered Changes of one environment with their marks and holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use contract::digest::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::change::{Change, Kind};
use crate::environment::{Environment, Environments};
use crate::holds::{Holds, UnreadableHolds};
use crate::object_id::CommitId;
use crate::pin::{Pin, Pinned};
use crate::snapshot::{MarkKind, Snapshot};

/// Mode of an ordinary file; a pin that is a link or a submodule is not read.
const FILE: u32 = 0o100_644;

#[derive(Debug, Clone)]
pub struct History {
    snapshot: Arc<Snapshot>,
    environment: Environment,
    changes: Arc<Vec<Change>>,
    verified: Arc<BTreeSet<CommitId>>,
    rolled_back: Arc<BTreeSet<CommitId>>,
    proposed: Arc<BTreeSet<CommitId>>,
}

/// Whether an environment's newest Change has been judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    Unreleased,
    Verified(&'a Change),
    /// No smoke test has passed for it yet.
    Waiting(&'a Change),
}

impl History {
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        environment: Environment,
        changes: Arc<Vec<Change>>,
    ) -> Self {
        let marked = |kind| -> BTreeSet<CommitId> {
            let of_kind = snapshot.marks.iter().filter(|mark| mark.kind == kind);
            of_kind
                .filter(|mark| mark.environment == environment.name())
                .map(|mark| mark.change)
                .collect()
        };
        let mut rolled_back = marked(MarkKind::RolledBack);
        rolled_back.extend(changes.iter().filter_map(Change::rollback_of));
        Self {
            verified: Arc::new(marked(MarkKind::Verified)),
            rolled_back: Arc::new(rolled_back),
            proposed: Arc::new(marked(MarkKind::Proposed)),
            snapshot,
            environment,
            changes,
        }
    }

    /// All that main has, this one among them.
    pub fn environments(&self) -> &Environments {
        self.snapshot.environments()
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What a plan of this history is computed on.
    pub fn tip(&self) -> CommitId {
        self.snapshot.tip()
    }

    /// Oldest first, Holds included.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What decides what runs, newest first: everything but Holds.
    pub fn rendered(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().rev().filter(|change| change.is_rendered())
    }

    pub fn head(&self) -> Option<&Change> {
        self.rendered().next()
    }

    pub fn standing(&self) -> Standing<'_> {
        match self.head() {
            None => Standing::Unreleased,
            Some(head) if self.pinned(head) == Pinned::Unreleased => Standing::Unreleased,
            Some(head) if self.is_verified(head) => Standing::Verified(head),
            Some(head) => Standing::Waiting(head),
        }
    }

    /// The Change that an environment at this revision of main runs. Argo CD reports the newest commit
    /// of main, which often altered nothing here.
    pub fn change_at(&self, revision: CommitId) -> Option<&Change> {
        let position = *self.snapshot.positions.get(&revision)?;
        self.rendered().find(|change| change.position <= position)
    }

    /// Whether main has this commit on its first-parent line.
    pub fn has(&self, revision: CommitId) -> bool {
        self.snapshot.positions.contains_key(&revision)
    }

    pub fn pinned(&self, change: &Change) -> Pinned {
        let Some(entry) = change.pin else { return Pinned::Missing };
        let unreadable =
            |reason: &str| Pinned::Unreadable { blob: entry.blob, reason: reason.to_owned() };
        if entry.mode != FILE {
            return unreadable("it is not an ordinary file");
        }
        match self.snapshot.blobs.get(&entry.blob) {
            Some(blob) => blob.pinned(entry.blob).clone(),
            None => unreadable("its content was not loaded"),
        }
    }

    /// Whether two Changes pin the same: an edited comment is no difference.
    pub fn same_pin(&self, one: &Change, other: &Change) -> bool {
        one.pin == other.pin || self.pinned(one) == self.pinned(other)
    }

    /// Whether an environment renders the same from both.
    pub fn same_state(&self, one: &Change, other: &Change) -> bool {
        one.config == other.config && self.same_pin(one, other)
    }

    /// The Change that brought the pin which `change` runs.
    pub fn origin_of_pin<'a>(&'a self, change: &'a Change) -> &'a Change {
        let mut origin = change;
        for older in self.rendered().filter(|older| older.position < change.position) {
            if !self.same_pin(origin, older) {
                break;
            }
            origin = older;
        }
        origin
    }

    /// Whether another pin was put in place after `change`, be it that the old one came back later: that
    /// would be a Change of its own, with a verdict of its own.
    pub fn is_repinned_after(&self, change: &Change) -> bool {
        let mut newer = self.rendered().take_while(|newer| newer.position > change.position);
        newer.any(|newer| newer.alters_pin && !self.same_pin(newer, change))
    }

    pub fn is_verified(&self, change: &Change) -> bool {
        self.verified.contains(&change.commit)
    }

    pub fn is_rolled_back(&self, change: &Change) -> bool {
        self.rolled_back.contains(&change.commit)
    }

    pub fn is_proposed(&self, change: &Change) -> bool {
        self.proposed.contains(&change.commit)
    }

    pub fn last_verified(&self) -> Option<&Change> {
        self.rendered().find(|change| self.is_verified(change))
    }

    /// Pins of the Changes asked for, newest first. One that was rolled back although it was verified is
    /// no ground to stand on.
    pub(crate) fn pins(
        &self,
        wanted: impl Fn(&Change) -> bool,
    ) -> impl Iterator<Item = (&Change, Pin)> {
        let standing =
            self.rendered().filter(move |change| wanted(change) && !self.is_rolled_back(change));
        standing.filter_map(|change| match self.pinned(change) {
            Pinned::Pin(pin) => Some((change, pin)),
            _ => None,
        })
    }

    /// Verified Changes whose pin may run, newest first.
    pub fn restorable(&self) -> impl Iterator<Item = (&Change, Pin)> {
        let verified = self.pins(|change| self.is_verified(change));
        verified.filter(|(_, pin)| !self.is_held(pin.image.digest()))
    }

    /// With an unreadable holds file everything is held.
    pub fn is_held(&self, digest: Digest) -> bool {
        self.holds().map_or(true, |holds| holds.quarantine_of(digest).is_some())
    }

    pub fn holds(&self) -> Result<&Holds, &UnreadableHolds> {
        self.snapshot.holds()
    }

    pub fn is_frozen(&self) -> bool {
        self.holds().is_ok_and(|holds| holds.freeze_of(&self.environment).is_some())
    }

    /// Counted by the committers' clocks; a commit from the future counts too.
    pub fn rollbacks_since(&self, now: Timestamp, within: SignedDuration) -> usize {
        let from = now.checked_sub(within).unwrap_or(Timestamp::MIN);
        let rollbacks = self.changes.iter().filter(|change| change.kind == Kind::Rollback);
        rollbacks.filter(|change| change.committed_at >= from).count()
    }

    /// Changes of configuration after `change`, oldest first: what else may be at fault.
    pub fn config_changes_after(&self, change: &Change) -> Vec<&Change> {
        let newer = self.changes.iter().filter(|newer| newer.position > change.position);
        newer.filter(|newer| newer.alters_config).collect()
    }
}
