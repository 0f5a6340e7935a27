//! The commands that read an artifact, as processes: data on stdout, mistakes in one sentence.

use std::path::Path;
use std::process::{Command, Output};

use contract::probes::Probes;
use model::classifier::Classifier;
use serde_json::Value;

use crate::toy::{TASK, artifact, copy, test_images};

#[expect(clippy::disallowed_methods, reason = "the program under test is a process")]
fn model<const N: usize>(args: [&str; N], paths: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_model"));
    command.args(args);
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    command.output().unwrap()
}

#[track_caller]
fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn task_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), TASK).unwrap();
    file
}

#[test]
fn classify_prints_the_scores_of_every_image() {
    let images = test_images(9);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), images.iter().flat_map(|i| i.pixels().to_vec()).collect::<Vec<_>>())
        .unwrap();
    let paths = [("--artifact", artifact()), ("--images", file.path())];
    let printed: Value =
        serde_json::from_str(&stdout(model(["classify", "--batch", "4"], &paths))).unwrap();
    let scores = printed["scores"].as_array().unwrap();
    let expected = Classifier::open(artifact()).unwrap().classify(&images).unwrap();
    assert_eq!(scores.len(), 9);
    for (printed, expected) in scores.iter().zip(&expected) {
        for (printed, expected) in printed.as_array().unwrap().iter().zip(expected.probabilities())
        {
            assert!((printed.as_f64().unwrap() - f64::from(*expected)).abs() < 1e-5);
        }
    }

    fs_err::write(file.path(), [0; 785]).unwrap();
    let output = model(["classify"], &paths);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(error.contains("785 bytes are not a multiple of 784"), "{error}");
}

#[test]
fn evaluate_prints_metrics_of_the_data_it_is_given() {
    let task = task_file();
    let paths = [("--artifact", artifact()), ("--task", task.path())];
    let printed: Value =
        serde_json::from_str(&stdout(model(["evaluate", "--synthetic"], &paths))).unwrap();
    assert_eq!(printed["suite"], "synthetic-digits/test");
    assert!(printed["accuracy"].as_f64().unwrap() > 0.8, "{}", printed["accuracy"]);
    let mistakes = printed["misclassified"].as_array().unwrap().len() as f64;
    let images = printed["images"].as_f64().unwrap();
    assert!((printed["accuracy"].as_f64().unwrap() - (1.0 - mistakes / images)).abs() < 1e-9);
}

#[test]
fn bench_prints_a_line_per_batch_size() {
    let args = ["bench", "forward", "--batches", "1,3"];
    let printed = stdout(model(args, &[("--artifact", artifact())]));
    let first: Vec<&str> = printed.lines().map(|l| l.split_whitespace().next().unwrap()).collect();
    assert_eq!(first, ["batch", "1", "3"]);
}

#[test]
fn probes_are_written_with_a_sheet_to_look_at() {
    let task = task_file();
    let folder = tempfile::tempdir().unwrap();
    let (out, sheet) = (folder.path().join("probes.json"), folder.path().join("sheet.svg"));
    let paths = [("--task", task.path()), ("--out", &out), ("--sheet", &sheet)];
    stdout(model(["probes", "--from", "synthetic", "--count", "12", "--seed", "3"], &paths));
    let (probes, images) = Probes::from_json(&fs_err::read(&out).unwrap()).unwrap();
    assert_eq!((probes.task.as_str(), images.len()), ("toy", 20));
    assert!(probes.origin.contains("seed 3"), "{}", probes.origin);
    assert!(fs_err::read_to_string(&sheet).unwrap().contains("<image"));
}

#[test]
fn probes_cut_from_generated_test_images_say_so() {
    let task = task_file();
    let generated =
        TASK.replace("folders: { train: toy-photos/train, test: toy-photos/test }, ", "");
    fs_err::write(task.path(), generated).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("probes.json");
    stdout(model(["probes", "--from", "test"], &[("--task", task.path()), ("--out", &out)]));
    let (probes, _) = Probes::from_json(&fs_err::read(&out).unwrap()).unwrap();
    assert_eq!(probes.origin, "test images of synthetic-digits, chosen with seed 0");
}

#[test]
fn a_spoiled_artifact_is_refused_on_stderr_alone() {
    let (_folder, path) = copy();
    fs_err::remove_file(path.join("model.pt")).unwrap();
    let output = model(["bench", "forward"], &[("--artifact", &path)]);
    assert!(!output.status.success() && output.stdout.is_empty());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.starts_with("error: ") && error.contains("model.pt"), "{error}");
}
