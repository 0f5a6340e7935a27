//! Recovery, as `cargo xtask drill` plays it: real models, real processes, real Git, and data versioned in DVC's formats.
//! docs/recovery.md has the figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Stdio;

use contract::run::{self as runs, Record, Status};
use e2e::leftovers::{nothing_is_left, processes_of};
use e2e::process::{Ended, command, run, wait_for};
use e2e::repo;

fn drill(args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut drill = command(repo::xtask(), &repo::root());
    let ended = run(drill.arg("drill").args(args).env("TMPDIR", folder.path()));
    nothing_is_left(folder.path());
    ended
}

/// Each line of the table, in this order.
#[track_caller]
fn recovers(what: &str, steps: &[&str]) {
    let transcript = drill(&[what]).success().stdout;
    let (_, table) = transcript.split_once("|---|---|\n").unwrap();
    let found: Vec<_> = table.lines().map(|line| line.split(" | ").next().unwrap()).collect();
    assert_eq!(found.len(), steps.len(), "{transcript}");
    for (line, step) in found.iter().zip(steps) {
        assert!(line.contains(step), "`{line}` is not `{step}`:\n{transcript}");
    }
}

#[test]
#[ignore = "slow: a drill of its own; `total` is played always"]
fn a_process_that_is_killed_answers_again_as_before() {
    recovers("pod", &["answers again", "as before, to every probe", "gone for good"]);
}

#[test]
#[ignore = "slow: a drill of its own; the demo takes one back always"]
fn a_wrong_model_is_taken_back_and_no_request_is_lost() {
    let steps = ["main is reverted", "back and verified", "as before", "gone for good: no request"];
    recovers("deployment", &steps);
}

#[test]
#[ignore = "slow: a drill of its own; `total` loses them too"]
fn data_that_is_deleted_comes_back_and_gives_the_same_model() {
    let steps = ["noticed", "pulled", "what Git says", "same model", "nothing that was pushed"];
    recovers("data", &steps);
}

#[test]
fn main_the_remote_and_the_images_are_enough_for_all_of_it() {
    let steps = [
        "cloned",
        "another node runs what main pins",
        "answers as before",
        "pulled",
        "what Git says",
        "the model that main pins",
        "nothing that was pushed",
    ];
    recovers("total", &steps);
}

/// A drill that is at its first training, when it gets this signal; how it ended, and what it said.
fn drill_that_is_sent(signal: &str, folder: &Path) -> (Option<i32>, String) {
    // Whoever outlives it holds a file open, and nobody waits for that.
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut drill = command(repo::xtask(), &repo::root());
    drill.args(["drill", "data"]).env("TMPDIR", folder);
    let mut drill = drill.stdout(Stdio::null()).stderr(said.reopen().unwrap()).spawn().unwrap();
    wait_for("a training", || {
        assert!(drill.try_wait().unwrap().is_none(), "{}", fs_err::read_to_string(&said).unwrap());
        processes_of(folder).iter().any(|command| command.contains("model train"))
    });
    run(command("kill", folder).args([signal, &drill.id().to_string()])).success();
    let code = drill.wait().unwrap().code();
    (code, fs_err::read_to_string(&said).unwrap())
}

#[test]
fn a_drill_that_is_interrupted_begins_nothing_more_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (code, told) = drill_that_is_sent("-INT", folder.path());
    assert_eq!(code, Some(130), "{told}");
    assert!(told.ends_with("error: interrupted; what was made is put away\n"), "{told}");
    assert!(!told.contains("Lost: "), "it went on: {told}");
    nothing_is_left(folder.path());
}

#[test]
fn no_training_goes_on_without_its_drill() {
    let folder = tempfile::tempdir().unwrap();
    drill_that_is_sent("-KILL", folder.path());
    wait_for("the end of the trainer", || processes_of(folder.path()).is_empty());
    let [stage] = &fs_err::read_dir(folder.path()).unwrap().flatten().collect::<Vec<_>>()[..]
    else {
        panic!("it plays in one folder")
    };
    for run in runs::entries(&stage.path().join("clone/runs")).unwrap() {
        let went_on = Record::read(&run).is_ok_and(|record| record.status != Status::Running);
        assert!(!went_on, "{}", run.display());
    }
}

#[test]
#[ignore = "slow: two drills"]
fn what_cannot_be_recovered_is_told_and_no_success() {
    for what in ["data", "total"] {
        let ended = drill(&[what, "--without-remote"]);
        assert_eq!(ended.code, Some(1), "{}", ended.stdout);
        assert!(ended.stderr.contains("the data does not come back"), "{}", ended.stderr);
        assert!(!ended.stdout.contains("gone for good"), "{}", ended.stdout);
    }
}
