//! `cargo xtask train` on the real files: what it reaches, what it prints, and what survives a kill.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "training/compressed.rs"]
mod compressed;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use contract::artifact::Artifact;
use contract::atomic;
use e2e::data;
use e2e::model::{quick, train};
use e2e::process::{command, run, xtask};
use e2e::repo;

/// Enough steps to be killed in, few enough to be repeated.
const RECIPE: &str = "quick";

#[test]
fn quick_classifies_99_of_100_real_test_images() {
    let artifact = quick();
    let manifest = artifact.manifest();
    assert_eq!(manifest.data.name, data::task().data.name);
    // The target is 99.0 % on average; the floor leaves room for another processor's rounding.
    assert!(manifest.metrics.accuracy >= 0.98, "accuracy {}", manifest.metrics.accuracy);
    let evaluation = artifact.evaluation().unwrap();
    let labels: Vec<usize> = data::test_images().into_iter().map(|(label, _)| label).collect();
    assert_eq!(evaluation.labels(), labels, "the evaluation is of the real test set, in its order");
    assert_eq!(evaluation.misclassified(), manifest.metrics.misclassified);
}

#[test]
fn the_artifact_has_everything_a_reader_looks_for() {
    let artifact = quick();
    let names: Vec<&str> = artifact.manifest().files.keys().map(String::as_str).collect();
    for name in
        ["model.pt", "weights.safetensors", "evaluation.json", "metrics.jsonl", "MODEL_CARD.md"]
    {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let plots = names.iter().filter(|name| name.contains(".svg")).count();
    assert!(plots >= 4, "{names:?}");
    let card = fs_err::read_to_string(artifact.path().join("MODEL_CARD.md")).unwrap();
    assert!(card.contains(artifact.manifest().model_version.as_str()));
}

/// What of `folder` could be taken for an artifact.
fn whole(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| !atomic::is_partial(name))
        .map(|name| name.into_string().unwrap())
        .collect()
}

/// Whether a name somewhere under `folder` is a wanted one.
fn holds(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> bool {
    let Ok(entries) = fs_err::read_dir(folder) else { return false };
    entries
        .flatten()
        .any(|entry| wanted(&entry.file_name().to_string_lossy()) || holds(&entry.path(), wanted))
}

/// Whatever a program was at when it was killed: nothing is there that looks whole and is not, and going on ends where
/// it would have ended.
fn kill_and_resume(folder: &Path, trainer: impl Fn() -> Command) {
    let interrupted = ["--artifacts", "interrupted", "--runs", "interrupted-runs", "--resume"];
    let (artifacts, runs) = (folder.join("interrupted"), folder.join("interrupted-runs"));

    // While the pictures are drawn, once there is something to resume from, and in the middle of writing.
    let started = Instant::now();
    let moments: [&dyn Fn() -> bool; 3] = [
        &|| started.elapsed() > Duration::from_millis(200),
        &|| holds(&runs, &|name| name.contains("checkpoint") && !name.contains("partial")),
        &|| holds(&artifacts, &|name| name.contains(".partial-")),
    ];
    for moment in moments {
        let mut child = trainer()
            .args(interrupted)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !moment() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for name in whole(&artifacts) {
            let opened = Artifact::open(&artifacts.join(&name));
            assert!(opened.is_ok(), "{name} looks whole: {opened:?}");
        }
    }
    let resumed = run(trainer().args(interrupted)).success();
    let straight =
        run(trainer().args(["--artifacts", "straight", "--runs", "straight-runs"])).success();

    let digest = |printed: &str| {
        let artifact = Artifact::open(&folder.join(printed.trim_end())).unwrap();
        artifact.manifest().model_digest
    };
    assert_eq!(digest(&resumed.stdout), digest(&straight.stdout));
}

#[test]
fn a_killed_training_leaves_no_artifact_and_resumes_to_the_very_same_model() {
    let folder = tempfile::tempdir().unwrap();
    kill_and_resume(folder.path(), || {
        let mut trainer = command(repo::release_binary("model"), folder.path());
        trainer.args(["train", "--recipe", RECIPE, "--seed", "3", "--threads", "2", "--task"]);
        trainer.arg(data::toy()).arg("--synthetic");
        trainer
    });
}

#[test]
fn without_a_mirror_training_goes_on_with_pictures_that_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let task = data::toy_without_a_mirror(folder.path());
    let out = folder.path().join("artifact");
    let train = |ci: &str| {
        let mut xtask = xtask(folder.path());
        xtask.args(["train", "--recipe", "quick", "--task"]).arg(&task).arg("--out").arg(&out);
        run(xtask.env("CI", ci))
    };

    let refused = train("true");
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("hint: `--data synthetic`"), "{}", refused.stderr);
    assert!(!out.exists());

    let trained = train("false").success();
    assert!(trained.stderr.contains("training on synthetic-shapes instead"), "{}", trained.stderr);
    let artifact = Artifact::open(&out).unwrap();
    assert_eq!(artifact.manifest().data.name, "synthetic-shapes");
    for name in artifact.manifest().files.keys().map(String::as_str).chain(["manifest.json"]) {
        let content = fs_err::read(out.join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains("nowhere"), "{name}");
    }
}

#[test]
fn two_trainings_at_once_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let digests: Vec<_> = std::thread::scope(|scope| {
        let trainings: Vec<_> = ["a", "b"]
            .map(|name| {
                let out = out(name);
                scope.spawn(move || {
                    let toy = data::toy();
                    let task = ["--task", toy.to_str().unwrap(), "--recipe", "quick"];
                    Artifact::open(&train(&out, &task)).unwrap().manifest().model_digest
                })
            })
            .into_iter()
            .collect();
        trainings.into_iter().map(|training| training.join().unwrap()).collect()
    });
    assert_eq!(digests[0], digests[1]);
}
