//! The folder of run records. One that cannot be read stands in nobody's way: it is named, and the others are told.

use std::collections::BTreeMap;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::run::{self, Point, Record, Status, Unreadable};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Run {
    #[serde(flatten)]
    pub(crate) record: Record,
    pub(crate) standing: Standing,
    pub(crate) metrics: Vec<Point>,
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// What has become of a run. Its record alone cannot say that its process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    Running,
    Finished,
    Failed,
    /// `train --resume` goes on with it.
    Interrupted,
}

impl Standing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Run {
    pub(crate) fn read(folder: &Path) -> Result<Self, Unreadable> {
        // Asked first: a run that ends in between has its end in the record that is read then.
        let is_held = run::is_held(folder);
        let record = Record::read(folder)?;
        let standing = match record.status {
            Status::Running if is_held? => Standing::Running,
            Status::Running | Status::Killed => Standing::Interrupted,
            Status::Finished => Standing::Finished,
            Status::Failed => Standing::Failed,
        };
        let metrics = run::points(folder)?;
        Ok(Self { record, standing, metrics, folder: folder.to_owned() })
    }

    /// Of every metric the last value.
    pub(crate) fn last_values(&self) -> BTreeMap<&str, f64> {
        self.metrics.iter().map(|point| (point.key.as_str(), point.value)).collect()
    }

    /// Milliseconds since 1970; of an interrupted run, when it was last heard of.
    pub(crate) fn ended_at(&self) -> Option<i64> {
        let heard_of = || self.metrics.iter().map(|point| point.timestamp).max();
        match self.standing {
            Standing::Running => None,
            _ => self.record.end_time.or_else(heard_of).or(Some(self.record.start_time)),
        }
    }
}

pub(crate) struct Runs {
    folder: PathBuf,
}

impl Runs {
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        if folder.exists() && !folder.is_dir() {
            bail!("`{}` is not a folder, so it holds no runs", folder.display());
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// In the order of their start. What cannot be read is named on stderr.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Run>> {
        let mut runs = Vec::new();
        for folder in self.folders()? {
            match Run::read(&folder) {
                Ok(run) => runs.push(run),
                // Whoever closed stderr does not read it.
                Err(reason) => {
                    drop(writeln!(stderr(), "skipped `{}`: {reason}", folder.display()));
                }
            }
        }
        runs.sort_by(|a, b| started(a).cmp(&started(b)));
        Ok(runs)
    }

    /// By its id, the beginning of one, or `latest`.
    pub(crate) fn named(&self, name: &str) -> anyhow::Result<Run> {
        if name == "latest" {
            let newest = self.all()?.pop();
            return newest
                .with_context(|| format!("there is no run in `{}`", self.folder.display()));
        }
        let is_meant = |folder: &PathBuf| folder.file_name().is_some_and(|id| id == name);
        let may_be_meant = |folder: &PathBuf| {
            folder.file_name().is_some_and(|id| id.to_string_lossy().starts_with(name))
        };
        let folders = self.folders()?;
        let exact = folders.iter().find(|folder| is_meant(folder));
        let found: Vec<_> = match exact {
            Some(folder) => vec![folder],
            None => folders.iter().filter(|folder| may_be_meant(folder)).collect(),
        };
        match found[..] {
            [folder] => Run::read(folder).with_context(|| format!("`{}`", folder.display())),
            [] => bail!(
                "there is no run `{name}` in `{}`\n\nhint: `cargo xtask runs list` tells their ids",
                self.folder.display()
            ),
            _ => bail!(
                "{} runs begin with `{name}`; one more character tells them apart",
                found.len()
            ),
        }
    }

    fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(run::entries(&self.folder)?)
    }
}

fn started(run: &Run) -> (i64, &str) {
    (run.record.start_time, &run.record.run_id)
}
