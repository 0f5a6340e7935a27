//! The record of a training, always written, whole at any moment. Its format is [`contract::run`]'s, which others
//! read; nothing here speaks to a server.

mod record;
mod search;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use contract::atomic;
use contract::manifest::DataRecord;
pub use contract::run::{Entry, Record, Recorded, Status};
use contract::run::{LOCK, METRICS, Point, RECORD};
use fs_err::File;
use jiff::Timestamp;

pub use search::{Found, Skipped};

use crate::training::{Epoch, Plan};

const CHECKPOINT: &str = "checkpoint.safetensors";

#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    record: Record,
    /// Held until the run is dropped.
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("a run record could not be written or read: {0}")]
    File(#[from] io::Error),
    #[error(
        "no run can be resumed, and one may be among those that cannot be read: {}\n\nhint: repair or remove them, or train without `--resume`",
        list(.0)
    )]
    Unreadable(Vec<Skipped>),
}

fn list(skipped: &[Skipped]) -> String {
    skipped.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Run {
    pub fn start(
        runs: &Path,
        plan: &Plan,
        data: &DataRecord,
        tags: Vec<Entry>,
    ) -> Result<Self, RunError> {
        let now = Timestamp::now();
        let stem = format!("{}-{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), plan.recipe_name, plan.seed);
        fs_err::create_dir_all(runs)?;
        let mut id = stem.clone();
        for turn in 2.. {
            match fs_err::create_dir(runs.join(&id)) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    id = format!("{stem}-{turn}");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let folder = runs.join(&id);
        let lock = lock_file(&folder)?;
        lock.file().lock()?;
        sign(&lock)?;
        let record = record::begun(id, plan, data, tags, now);
        let run = Self { folder, record, _lock: lock };
        run.write()?;
        Ok(run)
    }

    pub fn id(&self) -> &str {
        &self.record.run_id
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join(CHECKPOINT)
    }

    /// Replaces `metrics.jsonl`: a resumed run has not seen what came after its checkpoint.
    pub fn log(&self, epochs: &[Epoch], finals: &[(&str, f64)]) -> Result<(), RunError> {
        let mut lines = Vec::new();
        for epoch in epochs {
            let values = [
                ("train/loss", epoch.train_loss),
                ("train/accuracy", epoch.train_accuracy),
                ("validation/loss", epoch.validation_loss),
                ("validation/accuracy", epoch.validation_accuracy),
                ("learning_rate", epoch.learning_rate),
            ];
            for (key, value) in values {
                write_point(&mut lines, key, value, epoch.timestamp, epoch.epoch)?;
            }
        }
        let last = epochs.last().map_or(0, |epoch| epoch.epoch);
        for &(key, value) in finals {
            write_point(&mut lines, key, value, Timestamp::now().as_millisecond(), last)?;
        }
        Ok(atomic::write_file(&self.folder.join(METRICS), &lines)?)
    }

    /// With the folder of the artifact and the digest of each of its files. The checkpoint is removed.
    pub fn finish(mut self, artifact: &Path, files: Vec<Recorded>) -> Result<(), RunError> {
        self.record.artifact_uri = Some(artifact.display().to_string());
        self.record.artifacts = files;
        self.finish_without_artifact()
    }

    /// Of a training that was to make none.
    pub fn finish_without_artifact(mut self) -> Result<(), RunError> {
        self.end(Status::Finished)?;
        match fs_err::remove_file(self.checkpoint()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub fn end(&mut self, status: Status) -> Result<(), RunError> {
        self.record.status = status;
        self.record.end_time = Some(Timestamp::now().as_millisecond());
        self.write()
    }

    fn write(&self) -> Result<(), RunError> {
        let mut json = serde_json::to_vec_pretty(&self.record).map_err(io::Error::from)?;
        json.push(b'\n');
        Ok(atomic::write_file(&self.folder.join(RECORD), &json)?)
    }
}

/// As it is: another process may be at the run.
fn lock_file(folder: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(folder.join(LOCK))
}

/// Says in a lock that is ours who we are.
fn sign(lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(&*lock, "{}", std::process::id())
}

fn write_point(
    lines: &mut Vec<u8>,
    key: &str,
    value: f64,
    timestamp: i64,
    step: u32,
) -> Result<(), RunError> {
    let point = Point { key: key.to_owned(), value, timestamp, step };
    serde_json::to_writer(&mut *lines, &point).map_err(io::Error::from)?;
    Ok(lines.write_all(b"\n")?)
}

#[cfg(test)]
mod tests {
    use contract::digest::Digest;
    use contract::task::Normalisation;
    use tch::Device;

    use super::*;
    use crate::recipe::Recipe;

    pub(super) fn plan(seed: u64, threads: usize) -> Plan {
        let recipe = "
net: { blocks: [{ channels: 4 }] }
epochs: 1
batch: 64
schedule: { peak: 0.1 }
";
        Plan {
            recipe: Recipe::from_yaml(recipe, Path::new("recipe.yaml")).unwrap(),
            recipe_name: "test".to_owned(),
            normalisation: Normalisation { mean: vec![0.1], std: vec![0.3] },
            seed,
            threads,
            device: Device::Cpu,
            compression: None,
        }
    }

    pub(super) fn data(content: &[u8]) -> DataRecord {
        let digest = Digest::of(content);
        DataRecord { name: "toy".to_owned(), digest, train: 90, added: 0, validation: 10, test: 20 }
    }

    pub(super) fn start(runs: &Path, seed: u64) -> Run {
        Run::start(runs, &plan(seed, 1), &data(b"a"), Vec::new()).unwrap()
    }

    #[test]
    fn metrics_are_lines_of_mlflows_fields() {
        let runs = tempfile::tempdir().unwrap();
        let run = start(runs.path(), 0);
        run.log(&[], &[("test/accuracy", 0.5)]).unwrap();
        let line = fs_err::read_to_string(run.folder().join(METRICS)).unwrap();
        let point: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&point["key"], &point["value"]), (&"test/accuracy".into(), &0.5.into()));
        assert!(point["timestamp"].is_i64() && point["step"] == 0, "{line}");
    }
}
