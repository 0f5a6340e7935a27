//! [`Before`]: what is there already of a trial's training, on this machine, when its worker is gone or its trainer was
//! killed. Only this study's runs count; one of another study may have the same recipe, seed and data.

use std::io;
use std::path::{Path, PathBuf};

use contract::run::{self, PARENT, Record, Status, Unreadable};

/// In the order of what is asked for first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Before {
    Nothing,
    /// To go on with.
    Unfinished,
    /// It came to its end, and nobody told.
    Finished(PathBuf),
    /// A trainer is at it that has not yet seen that its worker is gone; it stops at its next step.
    Held,
}

impl Before {
    /// Of the study `parent`, with the recipe of this name; and which of its records cannot be read, which keeps nobody
    /// from training it again.
    pub(super) fn of(runs: &Path, parent: &str, recipe: &str) -> io::Result<(Self, Vec<String>)> {
        let (mut before, mut skipped) = (Self::Nothing, Vec::new());
        for folder in run::entries(runs)? {
            let id = folder.file_name().unwrap_or_default().to_string_lossy();
            if !id.contains(&format!("-{recipe}-")) {
                continue;
            }
            let record = match Record::read(&folder) {
                Ok(record) => record,
                Err(Unreadable::NoFolder | Unreadable::NoRecord) => continue,
                Err(reason) => {
                    skipped.push(format!("skipped `{}`: {reason}", folder.display()));
                    continue;
                }
            };
            if record.param("recipe") != Some(recipe) || record.tag(PARENT) != Some(parent) {
                continue;
            }
            before = before.max(if run::is_held(&folder)? {
                Self::Held
            } else if record.status == Status::Finished {
                Self::Finished(folder)
            } else {
                Self::Unfinished
            });
        }
        Ok((before, skipped))
    }
}
