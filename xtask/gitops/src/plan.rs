//! [`Plan`]: what is to be written to Git, as a value. Its one [`fmt::Display`] is what `--dry-run`
//! prints, a pull request says and a transcript shows; the commit says the same without the file list.
//!
//! [`release`], [`promote`], [`rollback`], [`freeze`], [`unfreeze`] and [`lift`] make the plans that
//! humans ask for; [`crate::decide`] makes the others.

mod commands;
mod restoration;

use std::fmt;

pub use commands::{demand_movable, freeze, lift, promote, release, unfreeze};
pub use restoration::{Cause, Selector, rollback};
pub(crate) use restoration::{proposal, restore};

use crate::change::Kind;
use crate::environment::Environment;
use crate::history::History;
use crate::image_reference::ImageReference;
use crate::object_id::CommitId;
use crate::snapshot::MarkKind;
use crate::trailers::{Key, Trailers, one_line};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub environment: Environment,
    /// The tip it was computed on, and the commit's parent.
    pub parent: CommitId,
    pub target: Target,
    pub title: String,
    pub paragraphs: Vec<String>,
    pub trailers: Trailers,
    pub files: Vec<File>,
    pub marks: Vec<NewMark>,
    /// What must be found in a registry before this may be published.
    pub image: Option<ImageReference>,
    /// Promise that the environment will render exactly what this Change did.
    pub identical_to: Option<CommitId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Main,
    /// A branch of its own, for a human to merge.
    Proposal,
    /// No commit at all.
    MarksOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    Write {
        path: String,
        content: String,
    },
    /// A file or a folder becomes what it was at a commit, byte for byte; absent there, it goes.
    Restore {
        path: String,
        from: CommitId,
    },
}

impl File {
    pub fn path(&self) -> &str {
        match self {
            Self::Write { path, .. } | Self::Restore { path, .. } => path,
        }
    }
}

/// A ref to be created together with the commit, and never to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMark {
    pub kind: MarkKind,
    /// The Change it is about. A Verified mark points to it, the others to the new commit.
    pub change: CommitId,
}

impl Plan {
    fn on(history: &History, target: Target, title: &str) -> Self {
        Self {
            environment: history.environment().clone(),
            parent: history.tip(),
            target,
            title: one_line(title),
            paragraphs: Vec::new(),
            trailers: Trailers::default(),
            files: Vec::new(),
            marks: Vec::new(),
            image: None,
            identical_to: None,
        }
    }

    fn of_kind(mut self, kind: Kind) -> Self {
        self.trailers = self.trailers.with(Key::ChangeKind, kind);
        self
    }

    pub fn kind(&self) -> Kind {
        let claimed = self.trailers.get(Key::ChangeKind);
        Kind::ALL.into_iter().find(|kind| Some(kind.name()) == claimed).unwrap_or(Kind::Foreign)
    }

    pub fn message(&self) -> String {
        let mut parts = vec![self.title.clone()];
        parts.extend(self.paragraphs.iter().cloned());
        parts.push(self.trailers.to_string());
        parts.retain(|part| !part.is_empty());
        format!("{}\n", parts.join("\n\n"))
    }

    /// Refs to create, with the commit each points to; `commit` is the one made of this plan.
    pub fn references(&self, commit: Option<CommitId>) -> Vec<(String, CommitId)> {
        let of = |mark: &NewMark| {
            let target = match mark.kind {
                MarkKind::Verified => Some(mark.change),
                MarkKind::RolledBack | MarkKind::Proposed => commit,
            };
            Some((mark.kind.reference(&self.environment, mark.change), target?))
        };
        self.marks.iter().filter_map(of).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match self.target {
            Target::Main => writeln!(f, "\nA commit on main, on top of {}:", self.parent.short())?,
            Target::Proposal => {
                writeln!(f, "\nA branch to be reviewed, on top of {}:", self.parent.short())?;
            }
            Target::MarksOnly => writeln!(f, "\nNo commit:")?,
        }
        for file in &self.files {
            match file {
                File::Restore { path, from } => {
                    writeln!(f, "  restore {path} as it was at {}", from.short())?;
                }
                File::Write { path, content } => {
                    writeln!(f, "  write {path}")?;
                    for line in content.lines() {
                        writeln!(f, "    {line}")?;
                    }
                }
            }
        }
        for mark in &self.marks {
            let name = mark.kind.reference(&self.environment, mark.change);
            writeln!(f, "  create {name}")?;
        }
        Ok(())
    }
}

/// The mark that makes a Change a ground to stand on.
pub(crate) fn mark_verified(history: &History, change: CommitId) -> Plan {
    let environment = history.environment();
    let title = format!("verified({environment}): {}", change.short());
    let mut plan = Plan::on(history, Target::MarksOnly, &title);
    plan.marks.push(NewMark { kind: MarkKind::Verified, change });
    plan
}
