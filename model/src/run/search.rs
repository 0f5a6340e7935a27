//! Which interrupted run to go on with. One record that cannot be read stands in nobody's way: it is
//! named, and the next one is looked at.

use std::fmt;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use contract::manifest::DataRecord;
use contract::run::{RECORD, Unreadable, entries};
use jiff::Timestamp;

use super::{Record, Run, RunError, Status, lock_file, record, sign};
use crate::training::Plan;

/// What a search found, and what it could not look into.
#[derive(Debug)]
pub struct Found {
    pub run: Option<Run>,
    pub skipped: Vec<Skipped>,
}

/// Something among the runs that is none, or none that this program can read.
#[derive(Debug)]
pub struct Skipped {
    pub path: PathBuf,
    pub reason: String,
    /// There is a record, so this may be the run that was meant.
    pub has_record: bool,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path.display(), self.reason)
    }
}

impl Run {
    /// The newest unfinished run that would have made the same model, if no process is at it. An error
    /// where there is none, but a record that cannot be read might be it.
    pub fn resume(runs: &Path, plan: &Plan, data: &DataRecord) -> Result<Found, RunError> {
        let mut skipped = Vec::new();
        let wanted = record::begun(String::new(), plan, data, Vec::new(), Timestamp::now());
        let mut candidates: Vec<(Record, PathBuf)> = Vec::new();
        for folder in entries(runs)? {
            match Record::read(&folder) {
                Ok(record) if is_wanted(&record, &wanted) => candidates.push((record, folder)),
                Ok(_) => {}
                Err(reason) => skipped.push(Skipped::because(&reason, folder)),
            }
        }
        candidates.sort_by_key(|(record, folder)| (record.start_time, folder.clone()));
        while let Some((_, folder)) = candidates.pop() {
            match take(&folder, &wanted) {
                Ok(Some(run)) => {
                    run.write()?;
                    return Ok(Found { run: Some(run), skipped });
                }
                Ok(None) => {}
                Err(reason) => skipped.push(Skipped::because(&reason, folder)),
            }
        }
        if skipped.iter().any(|skipped| skipped.has_record) {
            skipped.retain(|skipped| skipped.has_record);
            return Err(RunError::Unreadable(skipped));
        }
        Ok(Found { run: None, skipped })
    }
}

impl Skipped {
    fn because(reason: &Unreadable, path: PathBuf) -> Self {
        let has_record = path.join(RECORD).exists();
        Self { path, reason: reason.to_string(), has_record }
    }
}

fn is_wanted(record: &Record, wanted: &Record) -> bool {
    record.status != Status::Finished && record.makes_the_same_as(wanted)
}

/// The run of `folder`, if it is still there to be taken.
fn take(folder: &Path, wanted: &Record) -> Result<Option<Run>, Unreadable> {
    let lock = lock_file(folder)?;
    match lock.file().try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // Read again: between reading and locking, its process may have finished it.
    let mut record = Record::read(folder)?;
    if !is_wanted(&record, wanted) {
        return Ok(None);
    }
    sign(&lock)?;
    (record.status, record.end_time) = (Status::Running, None);
    Ok(Some(Run { folder: folder.to_owned(), record, _lock: lock }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{data, plan, start};
    use super::*;

    fn search(runs: &Path) -> Found {
        Run::resume(runs, &plan(0, 1), &data(b"a")).unwrap()
    }

    #[test]
    fn only_an_unfinished_run_of_the_same_recipe_data_and_seed_is_resumed() {
        let runs = tempfile::tempdir().unwrap();
        let resumed = |plan: &Plan, content: &[u8]| {
            let found = Run::resume(runs.path(), plan, &data(content)).unwrap();
            assert!(found.skipped.is_empty(), "{:?}", found.skipped);
            found.run.map(|run| run.id().to_owned())
        };
        assert_eq!(resumed(&plan(0, 1), b"a"), None, "there is none");
        let mut run = start(runs.path(), 0);
        let id = run.id().to_owned();
        assert_eq!(resumed(&plan(0, 1), b"a"), None, "a living process is at it");
        run.end(Status::Killed).unwrap();
        drop(run);
        assert_eq!(resumed(&plan(0, 1), b"a").as_ref(), Some(&id));
        assert_eq!(resumed(&plan(0, 4), b"a").as_ref(), Some(&id), "threads decide nothing");
        assert_eq!(resumed(&plan(1, 1), b"a"), None, "another seed");
        assert_eq!(resumed(&plan(0, 1), b"b"), None, "other data");
        let run = search(runs.path()).run.unwrap();
        run.finish(Path::new("artifacts/toy"), Vec::new()).unwrap();
        assert_eq!(resumed(&plan(0, 1), b"a"), None, "it is finished");
    }

    #[test]
    fn of_several_the_newest_is_resumed_and_each_has_a_folder_of_its_own() {
        let runs = tempfile::tempdir().unwrap();
        let ids: Vec<String> = (0..3).map(|_| start(runs.path(), 0).id().to_owned()).collect();
        let run = search(runs.path()).run.unwrap();
        assert_eq!(Some(&run.id().to_owned()), ids.last(), "{ids:?}");
    }

    /// Everything that may lie among the runs and cannot be read as one; their names, sorted.
    fn litter(runs: &Path) -> [&'static str; 5] {
        let record = fs_err::read_to_string(start(runs, 0).folder().join(RECORD)).unwrap();
        let put = |name: &str, content: &str| {
            fs_err::create_dir(runs.join(name)).unwrap();
            fs_err::write(runs.join(name).join(RECORD), content).unwrap();
        };
        put("99-cut", &record[..record.len() / 2]);
        put("99-empty", "");
        put("99-newer", &record.replacen("\"schema\": 1", "\"schema\": 2", 1));
        fs_err::create_dir_all(runs.join("99-record-is-a-folder").join(RECORD)).unwrap();
        fs_err::create_dir(runs.join("99-unbegun")).unwrap();
        fs_err::write(runs.join("99-stray"), "notes").unwrap();
        ["99-cut", "99-empty", "99-newer", "99-record-is-a-folder", "99-stray"]
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_newest_readable_run_is_resumed() {
        let runs = tempfile::tempdir().unwrap();
        let names = litter(runs.path());
        let newest = start(runs.path(), 0).id().to_owned();
        let found = search(runs.path());
        assert_eq!(found.run.unwrap().id(), newest);
        let said: Vec<String> = found.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), names.len() + 1, "{said:#?}");
        for (name, reason) in names.iter().zip([
            "EOF while parsing",
            "EOF while parsing",
            "has schema 2, this program reads 1",
            "directory",
            "not a folder",
        ]) {
            let line = said.iter().find(|line| line.contains(name));
            let line = line.unwrap_or_else(|| panic!("{name} is not in {said:#?}"));
            assert!(line.contains(reason) && line.lines().count() == 1, "{line}");
        }
    }

    #[test]
    fn where_nothing_readable_is_left_every_record_that_may_be_meant_is_named() {
        let runs = tempfile::tempdir().unwrap();
        let names = litter(runs.path());
        search(runs.path()).run.unwrap().finish(Path::new("artifacts/toy"), Vec::new()).unwrap();
        let error = Run::resume(runs.path(), &plan(0, 1), &data(b"a")).unwrap_err().to_string();
        for name in &names[..4] {
            assert!(error.contains(name), "{name} is not in {error}");
        }
        assert!(!error.contains("99-stray") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn what_is_no_run_keeps_nobody_from_starting() {
        let runs = tempfile::tempdir().unwrap();
        fs_err::write(runs.path().join("notes"), "").unwrap();
        fs_err::create_dir(runs.path().join("unbegun")).unwrap();
        let found = search(runs.path());
        assert!(found.run.is_none());
        assert_eq!(found.skipped.len(), 2, "{:?}", found.skipped);
    }
}
