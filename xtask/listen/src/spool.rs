//! [`Spool`]: the folder in which a report is safe from the moment it is accepted until it is handled. A
//! file is whole or not there; the order is that of the files' times, which the spool sets itself.
//!
//! `waiting/<digest>.json` is a report as it came, `pages/<digest>.md` what a human has yet to be told,
//! `done/<digest>.<outcome>.json` what is over.

mod files;

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use fs_err::File;

use self::files::{list, write};
use crate::report::{Id, Report};

#[derive(Debug)]
pub(crate) struct Spool {
    root: PathBuf,
    most: usize,
    keep: usize,
    queue: Mutex<Vec<Arc<Waiting>>>,
    /// Held for as long as we live: two programs on one folder would handle everything twice.
    _lock: File,
}

#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: Id,
    pub(crate) environment: String,
    accepted: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    New,
    /// The very same report waits already.
    Known,
    /// Too many wait.
    Full,
}

/// What Linux keeps of a file's time, coarsened to what most file systems keep.
const TICK: Duration = Duration::from_micros(1);

impl Spool {
    /// Takes the folder, makes what is missing, and reads what waits.
    pub(crate) fn open(root: &Path, most: usize, keep: usize) -> anyhow::Result<Self> {
        for folder in ["waiting", "pages", "done"] {
            fs_err::create_dir_all(root.join(folder))?;
        }
        let lock = File::create(root.join("lock"))?;
        match lock.file().try_lock() {
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another program works on the spool `{}`", root.display())
            }
            locked => locked.with_context(|| format!("locking the spool `{}`", root.display()))?,
        }
        let queue = Mutex::default();
        let spool = Self { root: root.to_owned(), most, keep, queue, _lock: lock };
        spool.recover()?;
        Ok(spool)
    }

    fn recover(&self) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for file in list(&self.root.join("waiting"))? {
            let body = fs_err::read(&file)?;
            let report = Report::kept(&body).ok();
            let report = report.filter(|report| file == self.file(&report.id));
            if let Some(Report { id, environment, .. }) = report {
                let accepted = fs_err::metadata(&file)?.modified()?;
                found.push(Arc::new(Waiting { id, environment, accepted }));
            } else if file.extension().is_some_and(|extension| extension == "tmp") {
                // Never accepted: we ended before we could say so.
                fs_err::remove_file(&file)?;
            } else {
                let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                tracing::error!(name, "a file in the spool is no report of ours");
                fs_err::rename(&file, self.root.join(format!("done/{name}.spoiled.json")))?;
            }
        }
        found.sort_by_key(|waiting| (waiting.accepted, waiting.id.clone()));
        *self.queue() = found;
        Ok(())
    }

    /// When this returns, the report survives a power cut.
    pub(crate) fn accept(&self, report: &Report) -> io::Result<Accepted> {
        let mut queue = self.queue();
        if queue.iter().any(|waiting| waiting.id == report.id) {
            return Ok(Accepted::Known);
        }
        if queue.len() >= self.most {
            return Ok(Accepted::Full);
        }
        // A clock that was set back must not let a newer one overtake.
        let after = queue.last().map_or(SystemTime::UNIX_EPOCH, |last| last.accepted + TICK);
        let accepted = SystemTime::now().max(after);
        write(&self.file(&report.id), report.body.as_bytes(), accepted)?;
        let (id, environment) = (report.id.clone(), report.environment.clone());
        queue.push(Arc::new(Waiting { id, environment, accepted }));
        Ok(Accepted::New)
    }

    /// Oldest first.
    pub(crate) fn waiting(&self) -> Vec<Arc<Waiting>> {
        self.queue().clone()
    }

    pub(crate) fn age_of_oldest(&self) -> Duration {
        let oldest = self.queue().first().map(|waiting| waiting.accepted);
        oldest.and_then(|accepted| accepted.elapsed().ok()).unwrap_or_default()
    }

    /// `None` where somebody removed or changed the file by hand: there is nothing to handle any more.
    pub(crate) fn read(&self, id: &Id) -> io::Result<Option<Report>> {
        let body = match fs_err::read(self.file(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.queue().retain(|waiting| waiting.id != *id);
                return Ok(None);
            }
            body => body?,
        };
        let report = Report::kept(&body).ok().filter(|report| report.id == *id);
        if report.is_none() {
            self.finish(id, "spoiled")?;
        }
        Ok(report)
    }

    pub(crate) fn finish(&self, id: &Id, outcome: &str) -> io::Result<()> {
        let mut queue = self.queue();
        fs_err::rename(self.file(id), self.root.join(format!("done/{id}.{outcome}.json")))?;
        queue.retain(|waiting| waiting.id != *id);
        drop(queue);
        self.prune()
    }

    fn prune(&self) -> io::Result<()> {
        let age = |file: &PathBuf| fs_err::metadata(file).and_then(|data| data.modified()).ok();
        let mut done = list(&self.root.join("done"))?;
        done.sort_by_cached_key(age);
        let many = done.len().saturating_sub(self.keep);
        done.iter().take(many).try_for_each(fs_err::remove_file)
    }

    /// What a human has to be told of this report, kept until they are.
    pub(crate) fn put_page(&self, id: &Id, markdown: &str) -> io::Result<()> {
        let page = self.root.join(format!("pages/{id}.md"));
        write(&page, markdown.as_bytes(), SystemTime::now())
    }

    pub(crate) fn pages(&self) -> io::Result<Vec<PathBuf>> {
        let mut pages = list(&self.root.join("pages"))?;
        pages.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
        Ok(pages)
    }

    /// Whether a report could be accepted now.
    pub(crate) fn is_writable(&self) -> bool {
        let probe = self.root.join("probe.tmp");
        // One probe at a time: each removes the file.
        let _queue = self.queue();
        let written = write(&probe, b"", SystemTime::now());
        written.and_then(|()| fs_err::remove_file(&probe)).is_ok()
    }

    fn file(&self, id: &Id) -> PathBuf {
        self.root.join(format!("waiting/{id}.json"))
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Arc<Waiting>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
