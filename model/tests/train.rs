//! `model train` as a process: what it prints, what it leaves, what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the trainer is started as a user's shell would")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use contract::artifact::Artifact;
use contract::atomic::is_partial;
use contract::digest::Digest;
use image::GrayImage;
use serde_json::Value;
use tempfile::TempDir;

/// Pictures larger than the input, so that they are fitted.
const TASK: &str = "
name: stripes
title: Stripes
input: { height: 12, width: 12, channels: 1 }
classes: [lying, standing]
normalisation: { mean: [0.5], std: [0.5] }
picture: cover
data: { name: stripes, folders: { train: train, test: test } }
";

const RECIPE: &str = "
net: { blocks: [{ channels: 8, stride: 2 }, { channels: 8, stride: 2 }], head: flatten }
epochs: 3
batch: 16
ghost_batch: 8
schedule: { peak: 0.05 }
average: { decay: 0.5 }
augment: { shift: 1 }
validation: 0.2
";

fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, count) in [("train", 100), ("test", 20)] {
        for (class, standing) in [("lying", false), ("standing", true)] {
            let class = folder.path().join(split).join(class);
            fs_err::create_dir_all(&class).unwrap();
            for i in 0..count {
                let stripe =
                    |x, y| if (if standing { x } else { y } + i) / 6 % 2 == 0 { 250 } else { 5 };
                let picture = GrayImage::from_fn(24, 24, |x, y| image::Luma([stripe(x, y)]));
                picture.save(class.join(format!("{i:03}.png"))).unwrap();
            }
        }
    }
    fs_err::write(folder.path().join("task.yaml"), TASK).unwrap();
    fs_err::write(folder.path().join("recipe.yaml"), RECIPE).unwrap();
    folder
}

fn trainer(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_model"));
    command.args(["train", "--task", "task.yaml", "--recipe", "recipe.yaml"]).args(args);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Standard error of a training that was refused or failed.
#[track_caller]
fn failure(output: &Output) -> String {
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"", "a failure prints no folder");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn artifact(folder: &Path, output: &Output) -> Artifact {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    Artifact::open(&folder.join(printed.trim_end())).unwrap()
}

fn only_run(folder: &Path) -> PathBuf {
    let mut runs = fs_err::read_dir(folder.join("runs")).unwrap();
    let run = runs.next().unwrap().unwrap().path();
    assert!(runs.next().is_none(), "there is one run");
    run
}

fn record(run: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(run.join("run.json")).unwrap()).unwrap()
}

/// Everything in `artifacts` that could be taken for an artifact.
fn artifacts(folder: &Path) -> usize {
    let Ok(entries) = fs_err::read_dir(folder.join("artifacts")) else { return 0 };
    entries.filter(|entry| !is_partial(&entry.as_ref().unwrap().file_name())).count()
}

#[test]
fn the_artifacts_folder_is_all_that_stdout_holds_and_latest_points_to_it() {
    let folder = workplace();
    let output = trainer(folder.path(), &["--revision", &"ab".repeat(20), "--dirty"]).output();
    let artifact = artifact(folder.path(), &output.unwrap());
    let manifest = artifact.manifest();
    assert_eq!(
        fs_err::canonicalize(folder.path().join("artifacts/latest")).unwrap(),
        fs_err::canonicalize(artifact.path()).unwrap()
    );
    assert_eq!((manifest.data.train, manifest.data.validation, manifest.data.test), (160, 40, 40));
    assert!(manifest.metrics.accuracy > 0.9, "{}", manifest.metrics.accuracy);
    assert!(manifest.source.dirty);
    assert_eq!(manifest.training.config["schedule"]["warmup"], 0.25, "defaults are spelled out");

    let run = only_run(folder.path());
    let record = record(&run);
    assert_eq!(record["status"], "FINISHED");
    let file = &record["artifacts"].as_array().unwrap()[0];
    let bytes = artifact.path().join(file["path"].as_str().unwrap());
    assert_eq!(file["digest"], Digest::of_file(&bytes).unwrap().to_string());
    let metrics = fs_err::read_to_string(run.join("metrics.jsonl")).unwrap();
    let points: Vec<Value> = metrics.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let steps = |key: &str| -> Vec<u64> {
        let of_key = points.iter().filter(|point| point["key"] == key);
        of_key.map(|point| point["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("train/loss"), [1, 2, 3]);
    assert_eq!(steps("test/accuracy"), [3]);
    assert!(!run.join("checkpoint.safetensors").exists(), "a finished run needs no checkpoint");
}

#[test]
fn mistakes_are_reported_together_before_anything_is_done() {
    let folder = workplace();
    fs_err::write(folder.path().join("recipe.yaml"), RECIPE.replace("epochs", "epoch")).unwrap();
    let args = ["--threads", "0", "--synthetic", "--device", "cuda", "--out", "train"];
    let stderr = failure(&trainer(folder.path(), &args).output().unwrap());
    let parts = [
        "recipe.yaml",
        "line 3",
        "--threads",
        "`stripes` has no generator",
        "has no cuda",
        "`train` is there and is not an artifact",
    ];
    for part in parts {
        assert!(stderr.contains(part), "`{part}` missing in:\n{stderr}");
    }
    assert!(folder.path().join("train/lying/000.png").exists());
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_folder_that_is_no_class_is_named() {
    let folder = workplace();
    fs_err::rename(folder.path().join("train/lying"), folder.path().join("train/laying")).unwrap();
    let stderr = failure(&trainer(folder.path(), &[]).output().unwrap());
    assert!(stderr.contains("train/laying") && stderr.contains("lying, standing"), "{stderr}");
    fs_err::rename(folder.path().join("train"), folder.path().join("elsewhere")).unwrap();
    let stderr = failure(&trainer(folder.path(), &[]).output().unwrap());
    assert_eq!(stderr.matches("No such file").count(), 1, "a cause is told once: {stderr}");
}

#[test]
fn a_training_that_diverges_leaves_no_model() {
    let folder = workplace();
    let wild = RECIPE.replace("peak: 0.05", "peak: 1.0e+30");
    fs_err::write(folder.path().join("recipe.yaml"), wild).unwrap();
    let stderr = failure(&trainer(folder.path(), &[]).output().unwrap());
    assert!(stderr.contains("training diverged") && stderr.contains("hint: "), "{stderr}");
    assert_eq!(artifacts(folder.path()), 0);
    assert_eq!(record(&only_run(folder.path()))["status"], "FAILED");
}

#[test]
fn where_no_artifact_can_be_written_nothing_is_trained() {
    let folder = workplace();
    fs_err::write(folder.path().join("file"), "").unwrap();
    for args in [["--artifacts", "file"], ["--out", "/proc/nowhere/artifact"]] {
        let stderr = failure(&trainer(folder.path(), &args).output().unwrap());
        assert!(stderr.contains("no artifact can be written there"), "{stderr}");
        assert!(!stderr.contains("epoch") && !folder.path().join("runs").exists(), "{stderr}");
    }
}

/// Files may not grow beyond so many blocks of 512 bytes, as where a disk is full.
fn with_little_space(trainer: &Command, blocks: u32) -> Command {
    let mut shell = Command::new("sh");
    // Without the trap, the signal would end the trainer.
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
    shell.arg(trainer.get_program()).args(trainer.get_args());
    shell.current_dir(trainer.get_current_dir().unwrap()).stdin(Stdio::null());
    shell
}

#[test]
fn a_model_that_finds_no_space_is_an_error_and_not_lost() {
    let folder = workplace();
    let trainer = |args: &[&str]| trainer(folder.path(), args);
    // Enough for a checkpoint of so small a net.
    let full = with_little_space(&trainer(&[]), 100).output().unwrap();
    let stderr = failure(&full);
    assert_eq!(full.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the artifact could not be written"), "{stderr}");
    assert!(stderr.contains("hint: ") && stderr.contains("--resume"), "{stderr}");
    assert_eq!(artifacts(folder.path()), 0);
    let resumed = trainer(&["--resume"]).output().unwrap();
    artifact(folder.path(), &resumed);
    assert!(!String::from_utf8_lossy(&resumed.stderr).contains("epoch "), "nothing is done twice");
}

#[test]
fn a_record_that_cannot_be_read_may_be_the_one_to_resume_so_it_is_named() {
    let folder = workplace();
    fs_err::create_dir_all(folder.path().join("runs/cut")).unwrap();
    fs_err::write(folder.path().join("runs/cut/run.json"), "{\"schema\": 1,").unwrap();
    fs_err::write(folder.path().join("runs/notes"), "").unwrap();
    let stderr = failure(&trainer(folder.path(), &["--resume"]).output().unwrap());
    assert!(stderr.contains("`runs/cut`: `run.json` is not a run record"), "{stderr}");
    assert!(stderr.contains("hint: ") && !stderr.contains("runs/notes"), "{stderr}");
    fs_err::remove_dir_all(folder.path().join("runs/cut")).unwrap();
    let started = trainer(folder.path(), &["--resume"]).output().unwrap();
    artifact(folder.path(), &started);
    let stderr = String::from_utf8_lossy(&started.stderr);
    assert!(stderr.contains("skipped `runs/notes`: not a folder"), "{stderr}");
}

/// Until the trainer reports an epoch, with ever so many to go.
fn wait_for_an_epoch(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.any(|line| line.unwrap().starts_with("epoch "));
    assert!(found, "the trainer ended early");
    // What comes after is not read; a full pipe would stop the trainer.
    std::thread::spawn(move || lines.for_each(drop));
}

#[test]
fn ctrl_c_stops_at_the_next_step_and_resume_ends_with_the_same_model() {
    let folder = workplace();
    let long = RECIPE.replace("epochs: 3", "epochs: 60");
    fs_err::write(folder.path().join("recipe.yaml"), long).unwrap();
    for signal in ["-INT", "-TERM", "-KILL"] {
        let mut child = trainer(folder.path(), &["--resume", "--threads", "2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_an_epoch(&mut child);
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let status = child.wait().unwrap();
        let (code, recorded) =
            if signal == "-KILL" { (None, "RUNNING") } else { (Some(130), "KILLED") };
        assert_eq!(status.code(), code);
        let run = only_run(folder.path());
        assert_eq!(record(&run)["status"], recorded);
        assert!(run.join("checkpoint.safetensors").exists());
        assert_eq!(artifacts(folder.path()), 0);
    }
    let resumed = trainer(folder.path(), &["--resume"]).output().unwrap();
    let resumed = artifact(folder.path(), &resumed);
    assert_eq!(record(&only_run(folder.path()))["status"], "FINISHED");
    let straight = trainer(folder.path(), &["--out", "straight"]).output().unwrap();
    let straight = artifact(folder.path(), &straight);
    assert_eq!(resumed.manifest().model_digest, straight.manifest().model_digest);
}
