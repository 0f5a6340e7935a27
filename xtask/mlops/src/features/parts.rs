//! [`Parts`]: the files of one log, one for each day.
//!
//! They are named by the log's first record, which a log keeps when it grows, is put aside or packed. Of two exports
//! of one log the longer stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::digest::Digest;
use jiff::civil::Date;

use super::definition::PREDICTIONS;
use super::part::Part;
use super::row::Row;

/// At once, more than a month. A log that goes back to a day after so many others gives it a second file.
const OPEN: usize = 32;
const DIGITS: usize = 12;

pub(super) struct Parts {
    log: Digest,
    folder: PathBuf,
    open: BTreeMap<Date, Part>,
    /// Files that a day has.
    files: BTreeMap<Date, u32>,
    rows: u64,
}

impl Parts {
    /// Of the log whose first record has this digest.
    pub(super) fn of(log: Digest, out: &Path) -> Self {
        let (open, files) = (BTreeMap::new(), BTreeMap::new());
        Self { log, folder: out.join(PREDICTIONS), open, files, rows: 0 }
    }

    pub(super) fn add(&mut self, row: Row) -> anyhow::Result<()> {
        let day = row.day();
        if !self.open.contains_key(&day) {
            if self.open.len() == OPEN
                && let Some((_, oldest)) = self.open.pop_first()
            {
                oldest.close()?;
            }
            let part = Part::create(&self.next_of(day))?;
            self.open.insert(day, part);
        }
        self.rows += 1;
        self.open.get_mut(&day).map_or(Ok(()), |part| part.add(row))
    }

    fn next_of(&mut self, day: Date) -> PathBuf {
        let number = self.files.entry(day).or_default();
        let log = &self.log.hex()[..DIGITS];
        let path = self.folder.join(format!("day={day}/part-{log}-{number}.parquet"));
        *number += 1;
        path
    }

    /// The log, and how many rows there were.
    pub(super) fn close(self) -> anyhow::Result<(Digest, u64)> {
        self.open.into_values().try_for_each(Part::close)?;
        Ok((self.log, self.rows))
    }
}
