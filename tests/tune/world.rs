//! A task of four quarters of a small picture, one of them bright, that is learnt in a second; and studies of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use contract::digest::Digest;
use contract::run::{self, Record};
use e2e::process::{Ended, command, run as ended};
use e2e::repo;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

const SIDE: u8 = 12;
const CLASSES: u8 = 4;
pub(crate) const DATA: &str = "quarters";

pub(crate) struct World {
    folder: TempDir,
}

/// What the state has of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    pub(crate) claims: usize,
    pub(crate) params: Value,
    pub(crate) how: String,
    pub(crate) epoch: u64,
    pub(crate) value: Value,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let split = |name: &str, count: u8, noise: u32| {
            let (pixels, labels) = pictures(count, noise);
            let sizes = [u32::from(count) * u32::from(CLASSES), u32::from(SIDE), u32::from(SIDE)];
            json!({
                "images": world.idx(&format!("{name}-images.gz"), 0x0803, &sizes, &pixels),
                "labels": world.idx(&format!("{name}-labels.gz"), 0x0801, &sizes[..1], &labels),
            })
        };
        let task = json!({
            "name": DATA,
            "title": "A bright quarter",
            "input": { "height": SIDE, "width": SIDE, "channels": 1 },
            "classes": ["a", "b", "c", "d"],
            "normalisation": { "mean": [0.5], "std": [0.3] },
            "picture": "cover",
            "data": {
                "name": DATA,
                "idx": { "mirrors": [], "train": split("train", 100, 1), "test": split("test", 25, 2) },
            },
        });
        world.write("task.yaml", &task.to_string());
        world.write(
            "small.yaml",
            "net: { blocks: [{ channels: 4, stride: 2 }, { channels: 8, stride: 2 }] }\nepochs: 4\nbatch: 64\n\
             schedule: { peak: 0.05 }\nvalidation: 0.3\n",
        );
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs_err::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn idx(&self, name: &str, magic: u32, sizes: &[u32], elements: &[u8]) -> Value {
        let head: Vec<u8> =
            [&[magic], sizes].concat().iter().flat_map(|word| word.to_be_bytes()).collect();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&[&head, elements].concat()).unwrap();
        let packed = packed.finish().unwrap();
        fs_err::create_dir_all(self.path("data")).unwrap();
        fs_err::write(self.path("data").join(name), &packed).unwrap();
        json!({ "file": name, "bytes": packed.len(), "sha256": Digest::of(&packed).hex() })
    }

    /// `mlops tune` as `cargo xtask` starts it, at home in `home`.
    pub(crate) fn tune(&self, study: &Path, home: &str, args: &[&str]) -> Command {
        self.tune_with(&repo::release_binary("model"), study, home, args)
    }

    pub(crate) fn tune_with(
        &self,
        trainer: &Path,
        study: &Path,
        home: &str,
        args: &[&str],
    ) -> Command {
        let mut tune = command(repo::release_binary("mlops"), self.folder.path());
        tune.arg("tune").arg(study).args(["--threads", "1"]).args(args);
        tune.arg("--trainer").arg(trainer);
        tune.arg("--task").arg(self.path("task.yaml"));
        tune.arg("--runs").arg(self.runs(home)).arg("--studies").arg(self.path(home));
        tune.arg("--").arg("--data-dir").arg(self.path("data"));
        for name in ["MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"] {
            tune.env_remove(name);
        }
        tune
    }

    /// What is found.
    #[track_caller]
    pub(crate) fn tuned(&self, study: &Path, home: &str, args: &[&str]) -> Ended {
        ended(&mut self.tune(study, home, args)).success()
    }

    pub(crate) fn started(&self, study: &Path, home: &str, args: &[&str]) -> Child {
        let mut tune = self.tune(study, home, args);
        tune.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Fails, and says all of `told`.
    #[track_caller]
    pub(crate) fn refused(&self, study: &Path, args: &[&str], told: &[&str]) {
        let ended = ended(&mut self.tune(study, "home", args));
        assert_eq!(ended.code, Some(1), "{} {}", ended.stdout, ended.stderr);
        for told in told {
            assert!(ended.stderr.contains(told), "{told} is not in {}", ended.stderr);
        }
    }

    pub(crate) fn runs(&self, home: &str) -> PathBuf {
        self.path(home).join("runs")
    }

    /// Of trainings, by their trial's name.
    pub(crate) fn records(&self, home: &str) -> BTreeMap<String, Vec<(PathBuf, Record)>> {
        let mut records: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for folder in run::entries(&self.runs(home)).unwrap() {
            if let Ok(record) = Record::read(&folder)
                && let Some(trial) = record.tag("study.trial")
            {
                records.entry(trial.to_owned()).or_default().push((folder, record));
            }
        }
        records
    }
}

/// Of a state in a folder.
pub(crate) fn trials(state: &Path) -> BTreeMap<String, Trial> {
    let trials = fs_err::read_dir(state.join("trials")).unwrap().map(|entry| entry.unwrap().path());
    let read =
        |path: PathBuf| -> Value { serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap() };
    trials
        .map(|folder| {
            let claims = fs_err::read_dir(&folder).unwrap().filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("claim-")
            });
            let end = read(folder.join("end.json"));
            let trial = Trial {
                claims: claims.count(),
                params: read(folder.join("claim-000.json"))["params"].clone(),
                how: end["how"].as_str().unwrap().to_owned(),
                epoch: end["epoch"].as_u64().unwrap(),
                value: end["value"].clone(),
            };
            (folder.file_name().unwrap().to_str().unwrap().to_owned(), trial)
        })
        .collect()
}

/// So many of each class: pixels `[count][SIDE][SIDE]`, and labels.
fn pictures(of_each: u8, seed: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut pixels, mut labels, mut noise) = (Vec::new(), Vec::new(), seed);
    for label in (0..of_each).flat_map(|_| 0..CLASSES) {
        labels.push(label);
        for place in 0..SIDE * SIDE {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let quarter =
                2 * u8::from(place / SIDE >= SIDE / 2) + u8::from(place % SIDE >= SIDE / 2);
            let light = if quarter == label { 70 } else { 0 };
            pixels.push((noise >> 25) as u8 + light);
        }
    }
    (pixels, labels)
}
