//! One worker, and what becomes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::run::{self, PARENT, Status, points};
use e2e::process::{command, wait_for};
use e2e::repo;
use serde_json::json;

use crate::world::{Trial, World, trials};

/// With a choice that learns nothing.
const STUDY: &str = "
base: ../small.yaml
space:
  schedule.peak: { choice: [0.05, 0.3, 1.0e-9] }
  schedule.warmup: { uniform: [0.1, 0.4] }
  net.blocks.1.channels: { int: [4, 16, 4] }
trials: 8
startup: 5
seed: SEED
asha: { reduction: 2 }
confirm: 2
";

fn study(world: &World, seed: u64) -> PathBuf {
    world.write("studies/quarters.yaml", &STUDY.replace("SEED", &seed.to_string()))
}

#[test]
#[ignore = "slow: two searches, one of them killed four times"]
fn a_seed_looks_at_the_same_recipes_again_whatever_is_killed_in_between() {
    let world = World::new();
    let study = study(&world, 3);
    let told = world.tuned(&study, "whole", &[]);
    let whole = trials(&world.path("whole/quarters/state"));
    assert!(whole.len() >= 8 && whole.values().all(|trial| trial.claims == 1), "{whole:#?}");
    found_something(&world, told.stdout.trim_end(), &whole);

    let state = world.path("killed/quarters/state/trials");
    let is_there = |name: &str| state.join(name).exists();
    let trainer = || trained_in(&world, "killed");
    // The tuner while a trial begins, then with one at a rung, then between; and a trainer beside it.
    let moments: [&dyn Fn() -> bool; 3] =
        [&|| is_there("0001/claim-000.json"), &|| is_there("0003/epoch-1.json"), &|| {
            is_there("0005/end.json")
        }];
    for moment in moments {
        let mut tuner = world.started(&study, "killed", &[]);
        while !moment() && tuner.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        tuner.kill().unwrap();
        tuner.wait().unwrap();
        wait_for("the end of a training without a tuner", || trainer().is_none());
    }
    let mut tuner = world.started(&study, "killed", &[]);
    let of_trainer = loop {
        if let Some(pid) = trainer().and_then(|folder| run::holder(&folder)) {
            break pid;
        }
        assert_eq!(tuner.try_wait().unwrap(), None, "no training was left to be killed");
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut kill = command("kill", &repo::root());
    assert!(kill.args(["-9", &of_trainer.to_string()]).status().unwrap().success());
    assert!(tuner.wait().unwrap().success());

    let killed = trials(&world.path("killed/quarters/state"));
    let ended = |trials: &BTreeMap<String, Trial>| -> Vec<(String, Trial)> {
        let alike =
            |(name, trial): (&String, &Trial)| (name.clone(), Trial { claims: 1, ..trial.clone() });
        trials.iter().map(alike).collect()
    };
    assert_eq!(ended(&killed), ended(&whole), "none was lost, doubled or another");
    for (trial, runs) in world.records("killed") {
        assert_eq!(runs.len(), 1, "trial {trial} was trained more than once: {runs:#?}");
    }
}

/// The run that a trainer is at.
fn trained_in(world: &World, home: &str) -> Option<PathBuf> {
    let folders = run::entries(&world.runs(home)).unwrap().into_iter();
    let held = |folder: &PathBuf| run::is_held(folder).unwrap_or(false);
    // The study's own is held by the tuner.
    folders.filter(|folder| !folder.display().to_string().contains("-study-")).find(held)
}

#[test]
#[ignore = "slow: three searches"]
fn two_studies_of_one_name_share_neither_files_nor_trainings() {
    let world = World::new();
    let text = "base: ../small.yaml\nspace: { schedule.peak: { choice: [0.05, 0.3] } }\ntrials: 2\nconfirm: 0\n";
    let study = world.write("studies/twins.yaml", text);
    let states = ["one", "other"].map(|state| world.path(state).display().to_string());
    let mut tuner = world.started(&study, "home", &["--state", &states[0]]);
    while trained_in(&world, "home").is_none() && tuner.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    tuner.kill().unwrap();
    tuner.wait().unwrap();
    wait_for("the end of the training", || trained_in(&world, "home").is_none());
    // What was interrupted is the first study's to go on with. What cannot be read stands in nobody's way.
    world.write("home/runs/20200101T000000Z-torn-0/run.json", "{");
    let other = world.tuned(&study, "home", &["--state", &states[1]]).stdout;
    let one = world.tuned(&study, "home", &["--state", &states[0]]).stdout;
    assert_ne!(one, other);
    for best in [&one, &other] {
        let folder = world.path(best.trim_end()).with_file_name("trials");
        let recipes = fs_err::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let recipes = recipes.filter(|path| path.extension().is_some_and(|kind| kind == "yaml"));
        assert_eq!((recipes.count(), world.path(best.trim_end()).exists()), (2, true), "{best}");
    }
    for (trial, runs) in world.records("home") {
        let [(_, a), (_, b)] = &runs[..] else { panic!("trial {trial}: {runs:#?}") };
        assert_ne!(a.tag(PARENT), b.tag(PARENT), "trial {trial}");
    }
}

/// The end of a study that lacks nothing.
fn found_something(world: &World, best: &str, trials: &BTreeMap<String, Trial>) {
    let base = &trials["0000"];
    assert_eq!(base.params["schedule.peak"], 0.05, "the base recipe comes first");
    let stopped: Vec<&Trial> = trials.values().filter(|trial| trial.how == "stopped").collect();
    assert!(!stopped.is_empty() && stopped.iter().all(|trial| trial.epoch < 4), "{trials:#?}");
    let finished = |trial: &&Trial| trial.how == "finished" && trial.epoch == 4;
    assert!(trials.values().filter(finished).count() + stopped.len() == trials.len());

    let recipe = fs_err::read_to_string(world.path(best)).unwrap();
    let recipe: serde_json::Value = serde_yaml::from_str(&recipe).unwrap();
    assert_eq!((&recipe["epochs"], &recipe["validation"]), (&4.into(), &0.3.into()));
    assert_ne!(recipe["schedule"]["peak"], 1e-9, "it learns nothing");
    let folder = world.path(best);
    let folder = folder.parent().unwrap();
    let report = fs_err::read_to_string(folder.join("report.md")).unwrap();
    for told in ["the test set was not opened", "## Importance", "mostly chance", "| 0007 |"] {
        assert!(report.contains(told), "{told} is not in {report}");
    }
    for picture in ["history.svg", "importance.svg"] {
        let svg = fs_err::read_to_string(folder.join(picture)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<rect"), "{picture}");
    }
    nobody_looked_at_the_test_set(world);
}

fn nobody_looked_at_the_test_set(world: &World) {
    let records = world.records("whole");
    for (folder, record) in records.values().flatten() {
        assert!(matches!(record.status, Status::Finished | Status::Killed), "{record:?}");
        assert_eq!((&record.artifact_uri, record.artifacts.len()), (&None, 0));
        let measured = points(folder).unwrap();
        assert!(measured.iter().all(|point| !point.key.starts_with("test/")), "{measured:?}");
    }
    let is_artifact = |path: &Path| path.join("manifest.json").exists();
    let made = [world.path("artifacts"), world.path("whole/artifacts")];
    assert!(!made.iter().any(|path| path.exists() || is_artifact(path)));
}

#[test]
fn a_study_that_has_ended_goes_on_with_more_trials_and_trains_nothing_again() {
    let world = World::new();
    let text = "base: ../small.yaml\nspace: { schedule.peak: { log: [0.01, 1] } }\nsampler: random\nconfirm: 0\n";
    let study = world.write("studies/more.yaml", &format!("{text}trials: 2\n"));
    let first = world.tuned(&study, "home", &[]).stdout;
    let runs = || run::entries(&world.runs("home")).unwrap().len();
    assert_eq!(runs(), 3, "two trials and the study");
    assert_eq!(world.tuned(&study, "home", &[]).stdout, first);
    assert_eq!(runs(), 3);
    world.write("studies/more.yaml", &format!("{text}trials: 3\n"));
    world.tuned(&study, "home", &["--jobs", "2"]);
    assert_eq!(runs(), 4);
    world.write("studies/more.yaml", &format!("{text}trials: 3\nobjective: loss\n"));
    world.refused(&study, &[], &["is of another study: objective", "hint: "]);
}

#[test]
fn a_recipe_that_diverges_or_cannot_be_is_a_trial_that_failed_and_the_study_goes_on() {
    let world = World::new();
    let base = fs_err::read_to_string(world.path("small.yaml")).unwrap();
    world.write("wide.yaml", &base.replace("batch: 64", "batch: 128"));
    // Each value alone is possible in the base recipe, a batch of 64 in one part of 128 is not.
    let study = world.write(
        "studies/odd.yaml",
        "base: ../wide.yaml\nspace:\n  batch: { choice: [64, 128] }\n  ghost_batch: { choice: [64, 128] }\n  \
         schedule.peak: { choice: [0.05, 1.0e+30] }\nsampler: random\nseed: 1\ntrials: 8\nconfirm: 0\n",
    );
    world.tuned(&study, "home", &[]);
    let trials = trials(&world.path("home/odd/state"));
    let diverges = |trial: &Trial| trial.params["schedule.peak"] == json!(1.0e30);
    let cannot_be =
        |trial: &Trial| trial.params["batch"] == 64 && trial.params["ghost_batch"] == 128;
    for trial in trials.values() {
        assert_eq!(trial.how == "failed", diverges(trial) || cannot_be(trial), "{trial:?}");
    }
    let some = |of: &dyn Fn(&Trial) -> bool| trials.values().any(of);
    assert!(some(&|trial| diverges(trial) && !cannot_be(trial)) && some(&cannot_be), "{trials:#?}");
}
