//! A retraining that is killed -9: whatever it was at, the checkout is as it was and nothing of it goes on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use contract::run::{self as runs, Record, Status};
use e2e::data;
use e2e::process::{command, run, wait_for};
use e2e::repo;

use crate::fork::Fork;
use crate::scratch::says;
use crate::{asked_and_told, faded};

const PICTURES: &str = "model/data/feedback";

fn versioned(fork: &Fork, clone: &str, args: &[&str]) {
    let mut data = command(repo::release_binary("mlops"), &fork.scratch.path(clone));
    run(data.arg("data").args(args)).success();
}

/// Main has a pointer to a labelled picture, and the clone has both.
fn labelled_before(fork: &Fork) {
    let (label, image) = &data::test_images()[30];
    let [records, log] = asked_and_told(fork, &[(faded(image), vec![*label])]);
    let mut feedback = command(repo::release_binary("mlops"), &fork.scratch.path("human"));
    feedback.args(["feedback", "--out", PICTURES, "--model"]).arg(fork.champion.path());
    feedback.arg("--feedback").arg(&log).arg("--records").arg(&records);
    run(&mut feedback).success();
    fork.scratch.git("human", &["pull", "--quiet", "--ff-only", "origin", "main"]);
    versioned(fork, "human", &["add", PICTURES]);
    versioned(fork, "human", &["push"]);
    fork.scratch.git("human", &["add", "."]);
    fork.scratch.git("human", &["commit", "--quiet", "-m", "one that was labelled"]);
    fork.scratch.git("human", &["push", "--quiet", "origin", "main"]);
    fork.scratch.git("clone", &["pull", "--quiet", "--ff-only"]);
    versioned(fork, "clone", &["pull"]);
}

/// Pointer and pictures in the clone.
fn labelled(fork: &Fork) -> BTreeMap<PathBuf, Vec<u8>> {
    fn files(path: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        if path.is_dir() {
            for entry in fs_err::read_dir(path).unwrap() {
                files(&entry.unwrap().path(), into);
            }
        } else {
            into.insert(path.to_owned(), fs_err::read(path).unwrap());
        }
    }
    let mut found = BTreeMap::new();
    for path in [PICTURES.to_owned(), format!("{PICTURES}.dvc")] {
        files(&fork.scratch.path("clone").join(path), &mut found);
    }
    found
}

/// Until it says this on stdout.
fn has_said(retrain: &mut Child, words: &str) {
    let lines = BufReader::new(retrain.stdout.as_mut().unwrap()).lines();
    let said = lines.map(Result::unwrap).any(|line| line.contains(words));
    assert!(said, "it ended before it said {words}");
}

/// Of those that a trainer is at.
fn begun(fork: &Fork) -> Option<PathBuf> {
    let folders = runs::entries(&fork.scratch.path("clone/runs")).unwrap().into_iter();
    let is_told = |folder: &PathBuf| Record::read(folder).is_ok();
    folders.rev().filter(is_told).find(|folder| runs::is_held(folder).unwrap_or(false))
}

/// When it is killed; the run that a trainer is at then.
type Moment = fn(&Fork, &mut Child) -> Option<PathBuf>;

fn in_training(fork: &Fork, retrain: &mut Child) -> Option<PathBuf> {
    has_said(retrain, "pictures added to 1");
    wait_for("a training", || begun(fork).is_some());
    let training = begun(fork);
    assert!(training.is_some(), "it ended before it was killed");
    training
}

#[track_caller]
fn killed_at(moments: &[Moment]) {
    let fork = Fork::new();
    labelled_before(&fork);
    let (label, image) = &data::test_images()[31];
    let [records, log] = asked_and_told(&fork, &[(faded(image), vec![*label])]);
    let [records, log] = [&records, &log].map(|path| path.to_str().unwrap());
    let args = ["--recipe", "quick", "--artifact-only", "--feedback", log, "--records", records];
    let (before, refs) = (labelled(&fork), fork.scratch.refs());
    assert_eq!(before.len(), 2, "{:?}", before.keys());
    for (number, moment) in moments.iter().enumerate() {
        let mut retrain = fork.xtask(&[&["retrain"], &args[..]].concat());
        let mut retrain = retrain.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let training = moment(&fork, &mut retrain);
        retrain.kill().unwrap();
        retrain.wait().unwrap();
        if let Some(folder) = training {
            wait_for("the end of the trainer", || !runs::is_held(&folder).unwrap());
            assert_eq!(Record::read(&folder).unwrap().status, Status::Running, "it went on");
        }
        assert_eq!(labelled(&fork), before, "{number}");
        assert_eq!((fork.changes().as_str(), fork.scratch.refs()), ("", refs.clone()), "{number}");
    }
    says(&run(&mut fork.xtask(&[&["retrain"], &args[..]].concat())), 0, &["pushed as retrain/"]);
    let [branch] = &fork.branches()[..] else { panic!("{:?}", fork.branches()) };
    assert!(fork.shown(&format!("{branch}:{PICTURES}.dvc")).contains("nfiles: 2"));
    assert_eq!(labelled(&fork), before);
}

#[test]
fn a_retraining_that_is_killed_ends_its_training_and_the_next_one_ends_it() {
    killed_at(&[in_training]);
}

#[test]
#[ignore = "slow: three more moments; one is tried out always"]
fn whatever_a_retraining_is_at_when_it_is_killed_what_callers_labelled_stays() {
    killed_at(&[
        |fork, retrain| {
            has_said(retrain, "# Retraining");
            begun(fork)
        },
        |fork, retrain| {
            has_said(retrain, "pictures added to 1");
            begun(fork)
        },
        |fork, retrain| {
            has_said(retrain, "## Gate");
            begun(fork)
        },
    ]);
}
