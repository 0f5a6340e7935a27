//! Run records that no training wrote, whole to whoever reads them.

use std::path::{Path, PathBuf};

use contract::artifact::WEIGHTS;
use contract::atomic;
use contract::digest::Digest;
use contract::run::{
    Dataset, Entry, LOCK, METRICS, Point, RECORD, Record, Recorded, SCHEMA, Status,
};
use e2e::process::{Ended, run, xtask};
use fs_err::File;
use tempfile::TempDir;

pub(crate) const BEGAN: i64 = 1_795_767_235_378;
pub(crate) const COMMIT: &str = "90bff99c1724722b8c3816c9999de0e8fd4be249";

/// Where a checkout keeps what it makes.
pub(crate) struct Home {
    folder: TempDir,
}

/// A run being written, by us.
pub(crate) struct Writing {
    pub(crate) folder: PathBuf,
    pub(crate) record: Record,
    points: Vec<Point>,
    lock: File,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.path().join("runs")
    }

    /// Of the data `experiment`; the higher the seed, the later.
    pub(crate) fn begin(&self, experiment: &str, seed: u32) -> Writing {
        let run_id = format!("20261127T08135{seed}Z-quick-{seed}");
        let folder = self.runs().join(&run_id);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join(LOCK), format!("{}\n", std::process::id())).unwrap();
        let lock = File::open(folder.join(LOCK)).unwrap();
        lock.file().lock().unwrap();
        let data = Digest::of(experiment.as_bytes());
        let record = Record {
            schema: SCHEMA,
            run_id,
            experiment_name: experiment.to_owned(),
            run_name: format!("quick-{seed}"),
            status: Status::Running,
            start_time: BEGAN + i64::from(seed),
            end_time: None,
            params: vec![
                Entry::new("batch", 128),
                Entry::new("recipe", "quick"),
                Entry::new("seed", seed),
            ],
            tags: vec![
                Entry::new("mlflow.source.name", "cargo xtask train"),
                Entry::new("mlflow.source.git.commit", COMMIT),
                Entry::new("mlflow.source.git.dirty", false),
            ],
            dataset: Dataset { name: experiment.to_owned(), digest: data, num_rows: 60_000 },
            artifact_uri: None,
            artifacts: Vec::new(),
        };
        let writing = Writing { folder, record, points: Vec::new(), lock };
        writing.write();
        writing
    }

    /// With an artifact whose weights are `weights`.
    pub(crate) fn finished(&self, experiment: &str, seed: u32, weights: &str) -> Record {
        let mut run = self.begin(experiment, seed);
        (0..2).for_each(|epoch| run.epoch(epoch));
        run.finish(&self.path().join("artifacts").join(weights), weights)
    }

    /// `cargo xtask` with this home, told of a server.
    pub(crate) fn xtask(&self, args: &[&str], server: &str) -> Ended {
        let mut xtask = xtask(self.path());
        xtask.args(args).env("MLFLOW_TRACKING_URI", server);
        xtask.env_remove("MLFLOW_EXPERIMENT_NAME");
        run(&mut xtask)
    }
}

impl Writing {
    pub(crate) fn epoch(&mut self, epoch: u32) {
        let loss = 1.0 / f64::from(epoch + 1);
        self.point("train/loss", loss, epoch);
        self.point("validation/accuracy", 1.0 - 0.1 * loss, epoch);
    }

    pub(crate) fn point(&mut self, key: &str, value: f64, step: u32) {
        let timestamp = BEGAN + 1000 * i64::from(step) + 500;
        self.points.push(Point { key: key.to_owned(), value, timestamp, step });
        self.write();
    }

    pub(crate) fn points(&mut self, key: &str, values: impl IntoIterator<Item = f64>) {
        for (value, step) in values.into_iter().zip(0..) {
            self.points.push(Point { key: key.to_owned(), value, timestamp: BEGAN, step });
        }
        self.write();
    }

    pub(crate) fn finish(mut self, artifact: &Path, weights: &str) -> Record {
        let files =
            [(WEIGHTS, weights), ("model.pt", "traced"), ("a plot.svg", "<svg/>"), ("empty", "")];
        fs_err::create_dir_all(artifact).unwrap();
        for (name, content) in files {
            fs_err::write(artifact.join(name), content).unwrap();
        }
        let recorded = files.map(|(name, content)| Recorded {
            path: name.to_owned(),
            file_size: content.len() as u64,
            digest: Digest::of(content.as_bytes()),
        });
        self.record.artifact_uri = Some(artifact.display().to_string());
        self.record.artifacts = recorded.to_vec();
        self.point("test/accuracy", 0.99, 1);
        self.end(Status::Finished)
    }

    pub(crate) fn end(mut self, status: Status) -> Record {
        self.record.status = status;
        self.record.end_time = Some(BEGAN + 16_772);
        self.write();
        self.record
    }

    /// As kill -9 leaves it.
    pub(crate) fn abandon(self) {
        drop(self.lock);
    }

    fn write(&self) {
        let lines = self.points.iter().map(|point| serde_json::to_string(point).unwrap() + "\n");
        let lines: String = lines.collect();
        atomic::write_file(&self.folder.join(METRICS), lines.as_bytes()).unwrap();
        let record = serde_json::to_vec_pretty(&self.record).unwrap();
        atomic::write_file(&self.folder.join(RECORD), &record).unwrap();
    }
}
