//! Records as a service writes them, and their export.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use contract::digest::Digest;
use contract::record::{Input, Kind, Milliseconds, Output, Record, SCHEMA};
use e2e::process::{Ended, command, run};
use e2e::repo;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn record(id: &str, image: usize, ts: &str) -> Record {
    // Another value in each, and one that JSON has to the last bit.
    let share = f32::from(Digest::of(format!("{id}/{image} {ts}").as_bytes()).bytes()[0]) / 256.0;
    Record {
        schema: SCHEMA,
        kind: Kind::Prediction,
        ts: ts.to_owned(),
        request_id: id.to_owned(),
        trace_id: None,
        client: None,
        route: "/v1/predict".to_owned(),
        app_version: "0.1.0".to_owned(),
        model_version: ["0123456789ab", "ba9876543210"][image % 2].parse().unwrap(),
        image,
        images: image + 1,
        input: Input {
            sha256: Digest::of(ts.as_bytes()),
            ink: share,
            bbox: share / 4.0,
            entropy: 4.0 * share,
        },
        output: Output {
            label: image % 3,
            confidence: 1.0 - share / 4.0,
            entropy: share / 8.0,
            margin: 1.0 - share,
            top: vec![(image % 3, 1.0 - share / 4.0)],
        },
        ms: Milliseconds { decode: 0.1, queue: 0.2, infer: 0.3 },
        batch: 1,
        pixels: None,
    }
}

pub(crate) fn lines(records: &[Record]) -> String {
    let line = |record| serde_json::to_string(record).unwrap() + "\n";
    records.iter().map(line).collect()
}

pub(crate) fn packed(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

pub(crate) fn micros(ts: &str) -> i64 {
    ts.parse::<Timestamp>().unwrap().as_microsecond()
}

/// All of a record that is exported, by the names of its columns.
pub(crate) fn row(record: &Record) -> Value {
    json!({
        "prediction_id": format!("{}/{}", record.request_id, record.image),
        "event_timestamp": micros(&record.ts),
        "request_id": record.request_id,
        "image": record.image,
        "ink": record.input.ink,
        "bbox": record.input.bbox,
        "entropy": record.input.entropy,
        "label": record.output.label,
        "confidence": record.output.confidence,
        "margin": record.output.margin,
        "output_entropy": record.output.entropy,
        "model_version": record.model_version,
        "app_version": record.app_version,
    })
}

/// Logs, and what is made of them.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), content).unwrap();
    }

    pub(crate) fn exporting(&self, logs: &[&str], out: &str) -> Command {
        let mut features = command(repo::release_binary("mlops"), self.0.path());
        features.args(["features", "export", "--out", out]).args(logs);
        features
    }

    pub(crate) fn export(&self, logs: &[&str], out: &str) -> Ended {
        run(&mut self.exporting(logs, out))
    }

    /// By path below `out`.
    pub(crate) fn files(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.path(out)];
        while let Some(next) = open.pop() {
            for entry in fs_err::read_dir(next).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let name = path.strip_prefix(self.path(out)).unwrap().to_str().unwrap().to_owned();
                // What is just being written may be gone.
                files.extend(fs_err::read(&path).ok().map(|content| (name, content)));
            }
        }
        files
    }

    pub(crate) fn arrow(&self, out: &str) -> Vec<Value> {
        self.read("arrow", out, &json!([]))
    }

    /// Makes it known to Feast.
    pub(crate) fn apply(&self, out: &str) {
        let mut apply = command(python().with_file_name("feast"), &self.path(out));
        run(self.without_telling(apply.arg("apply"))).success();
    }

    /// What Feast knows of each id at each time.
    pub(crate) fn feast(&self, out: &str, asked: &Value) -> Vec<Value> {
        self.read("feast", out, asked)
    }

    fn read(&self, by: &str, out: &str, asked: &Value) -> Vec<Value> {
        let script = repo::root().join("tests/features/read.py");
        let mut read = command(python(), self.0.path());
        read.arg(script).arg(by).arg(self.path(out));
        let mut read = self
            .without_telling(&mut read)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        read.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
        let mut told = String::new();
        read.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(read.wait().unwrap().success(), "{told}");
        serde_json::from_str(&told).unwrap()
    }

    fn without_telling<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("FEAST_USAGE", "False").env("HOME", self.0.path())
    }
}

#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its Python is")]
fn python() -> PathBuf {
    PathBuf::from(std::env::var("E2E_FEAST_PYTHON").expect("run by `cargo xtask test`"))
}
