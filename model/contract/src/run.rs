//! What a training tells of itself while it runs: [`Record`] in `run.json`, [`Point`]s in `metrics.jsonl`, in a
//! folder of its own. The trainer writes them, `mlops` reads them. Fields are named as in MLflow's REST API 2.0, so
//! that a record can be replayed to a server.
//!
//! A run belongs to the process that holds its lock, which the system gives back when that process dies:
//! unlocked and unfinished means interrupted.

use std::fmt::Display;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;

pub const RECORD: &str = "run.json";
pub const METRICS: &str = "metrics.jsonl";
/// Holds the process id of the last one that took it.
pub const LOCK: &str = "lock";

/// Raised when a reader of the previous number could misread a record.
pub const SCHEMA: u32 = 1;

/// Tag of a run that belongs to another, such as a trial to its study: that one's id.
pub const PARENT: &str = "xtask.parent_run_id";

/// The one parameter that does not decide what comes out.
pub const THREADS: &str = "threads";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema: u32,
    pub run_id: String,
    pub experiment_name: String,
    pub run_name: String,
    pub status: Status,
    /// Milliseconds since 1970.
    pub start_time: i64,
    pub end_time: Option<i64>,
    /// Everything that decides what comes out, and the threads.
    pub params: Vec<Entry>,
    pub tags: Vec<Entry>,
    pub dataset: Dataset,
    pub artifact_uri: Option<String>,
    pub artifacts: Vec<Recorded>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Or killed without a chance to say so.
    Running,
    Finished,
    Failed,
    /// Interrupted, resumable.
    Killed,
}

/// MLflow takes strings only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub name: String,
    pub digest: Digest,
    pub num_rows: usize,
}

/// A file of the artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub path: String,
    pub file_size: u64,
    pub digest: Digest,
}

/// One point of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub key: String,
    /// In the file, what is not finite is null.
    #[serde(deserialize_with = "number_or_null")]
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub step: u32,
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Why something among the runs is not read as one.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("not a folder, so no run")]
    NoFolder,
    #[error("without `run.json`, so no run, or one killed before it began")]
    NoRecord,
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("`run.json` is not a run record: {0}")]
    Syntax(serde_json::Error),
    #[error("`run.json` has schema {0}, this program reads {known}", known = SCHEMA)]
    Schema(u64),
    #[error("line {line} of `metrics.jsonl` is not a point of a metric: {error}")]
    Point { line: usize, error: serde_json::Error },
}

impl Entry {
    pub fn new(key: impl Into<String>, value: impl Display) -> Self {
        Self { key: key.into(), value: value.to_string() }
    }
}

impl Record {
    /// The record of the run in `folder`.
    pub fn read(folder: &Path) -> Result<Self, Unreadable> {
        if !folder.is_dir() {
            return Err(Unreadable::NoFolder);
        }
        let bytes = match fs_err::read(folder.join(RECORD)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Unreadable::NoRecord);
            }
            Err(error) => return Err(error.into()),
        };
        // The schema is read first: a record of another schema need not parse as ours.
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(Unreadable::Syntax)?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(SCHEMA) => Err(Unreadable::Schema(found)),
            _ => serde_json::from_value(value).map_err(Unreadable::Syntax),
        }
    }

    /// The last value of a parameter is the only one.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// Whether both would have made the same model.
    pub fn makes_the_same_as(&self, other: &Self) -> bool {
        let decisive = |record: &Self| -> Vec<Entry> {
            record.params.iter().filter(|entry| entry.key != THREADS).cloned().collect()
        };
        self.schema == other.schema
            && self.dataset == other.dataset
            && decisive(self) == decisive(other)
    }
}

/// All points of the run in `folder`, in the order of the file; none where nothing was measured yet.
pub fn points(folder: &Path) -> Result<Vec<Point>, Unreadable> {
    let text = match fs_err::read_to_string(folder.join(METRICS)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let point = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| Unreadable::Point { line: index + 1, error })
    };
    text.lines().enumerate().map(point).collect()
}

/// All that lies among the runs, in the order of names, so that what is said of them is too.
pub fn entries(runs: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

/// Whether a process is at the run in `folder`. Whoever wants to take it over cannot in the instant of asking.
pub fn is_held(folder: &Path) -> io::Result<bool> {
    let lock = match File::open(folder.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match lock.file().try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The process that is at the run in `folder`, or was the last to be.
pub fn holder(folder: &Path) -> Option<u32> {
    fs_err::read_to_string(folder.join(LOCK)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_finite_is_read_back_as_none_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let line = "{\"key\":\"train/loss\",\"value\":null,\"timestamp\":1,\"step\":2}\n";
        fs_err::write(folder.path().join(METRICS), line).unwrap();
        let points = points(folder.path()).unwrap();
        assert!(points[0].value.is_nan() && points[0].step == 2, "{points:?}");
        assert_eq!(serde_json::to_string(&points[0]).unwrap() + "\n", line);
    }

    #[test]
    fn a_broken_point_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        assert!(points(folder.path()).unwrap().is_empty(), "nothing was measured");
        fs_err::write(folder.path().join(METRICS), "{}\n").unwrap();
        let said = points(folder.path()).unwrap_err().to_string();
        assert!(said.starts_with("line 1 of `metrics.jsonl`"), "{said}");
    }

    #[test]
    fn whose_lock_is_held_is_alive_and_says_who() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_held(folder.path()).unwrap());
        let lock = File::create(folder.path().join(LOCK)).unwrap();
        fs_err::write(folder.path().join(LOCK), "17\n").unwrap();
        assert!(!is_held(folder.path()).unwrap());
        lock.file().lock().unwrap();
        assert!(is_held(folder.path()).unwrap());
        assert_eq!(holder(folder.path()), Some(17));
    }
}
