//! [`Change`]: one first-parent commit that alters what an environment runs or how it is held.

use std::fmt;

use contract::digest::Digest;
use jiff::Timestamp;

use crate::environment::{Environment, Part};
use crate::object_id::{CommitId, ObjectId};
use crate::trailers::{Key, Trailers};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Release,
    Promotion,
    Rollback,
    /// Freeze, unfreeze, quarantine lifted: alters nothing that is rendered.
    Hold,
    /// Made by a human, or by a machine's commit that touched more than it owns.
    Foreign,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Release, Self::Promotion, Self::Rollback, Self::Hold, Self::Foreign];

    /// How it is spelled in trailers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Promotion => "promotion",
            Self::Rollback => "rollback",
            Self::Hold => "hold",
            Self::Foreign => "foreign",
        }
    }

    /// A trailer is believed only when the commit touched what such a change owns: a squashed merge
    /// keeps the trailers of what it swallowed.
    pub fn of(trailers: &Trailers, environment: &Environment, touched: &[Part]) -> Self {
        let claimed = trailers.get(Key::ChangeKind);
        let Some(kind) = Self::ALL.into_iter().find(|kind| Some(kind.name()) == claimed) else {
            return Self::Foreign;
        };
        let own = |part: &Part| *part == Part::Pin(environment.clone());
        let believed = match kind {
            Self::Release | Self::Promotion => touched.iter().all(own),
            Self::Rollback => {
                trailers.commit(Key::RollbackOf).is_some()
                    && touched.iter().all(|part| own(part) || *part == Part::Holds)
            }
            Self::Hold => touched.iter().all(|part| *part == Part::Holds),
            Self::Foreign => true,
        };
        if believed { kind } else { Self::Foreign }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file as a tree names it; the mode tells a file from a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub mode: u32,
    pub blob: ObjectId,
}

/// All of an environment's render inputs but its pin, in one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigId(pub Digest);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub commit: CommitId,
    pub committed_at: Timestamp,
    pub kind: Kind,
    pub title: String,
    pub trailers: Trailers,
    /// Place of the commit on main, the oldest first.
    pub position: usize,
    /// The pin file after this commit, none where it is missing.
    pub pin: Option<Entry>,
    pub config: ConfigId,
    /// Which of the two this commit altered; a Hold neither.
    pub alters_pin: bool,
    pub alters_config: bool,
}

impl Change {
    pub fn is_rendered(&self) -> bool {
        self.alters_pin || self.alters_config
    }

    pub fn rollback_of(&self) -> Option<CommitId> {
        (self.kind == Kind::Rollback).then(|| self.trailers.commit(Key::RollbackOf)).flatten()
    }
}
