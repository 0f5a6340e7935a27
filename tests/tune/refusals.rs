//! What cannot be tuned, and what cannot be read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use e2e::process::run;
use e2e::repo;

use crate::world::{World, trials};

const STUDY: &str =
    "base: ../small.yaml\nspace: { schedule.peak: { log: [0.01, 1] } }\ntrials: 1\nconfirm: 0\n";

#[test]
fn all_mistakes_of_a_study_are_told_at_once() {
    let world = World::new();
    let study = world.write(
        "studies/wrong.yaml",
        "base: ../small.yaml\nspace:\n  schedule.peek: { log: [0.1, 1] }\n  batch: { int: [8, 4] }\n  \
         epochs: { choice: [1, 2] }\n  clip: { range: [1, 2] }\ntrials: 0\nconfirm: 1\nasha: { reduction: 1, rungs: [2, 1] }\n",
    );
    let told = [
        "trials: ",
        "confirm: ",
        "asha.reduction: ",
        "asha.rungs: ",
        "space.batch: the lower end",
        "space.clip: unknown field `range`",
        "space.epochs: ",
        "space.schedule.peek: the recipe has no such field",
    ];
    world.refused(&study, &[], &told);
    let ends = "base: ../small.yaml\nspace:\n  batch: { choice: [64, 100] }\n  clip: { uniform: [-1, 1] }\ntrials: 1\n";
    let study = world.write("studies/ends.yaml", ends);
    world.refused(
        &study,
        &[],
        &["batch: must be a multiple of `ghost_batch`", "clip: must be above 0"],
    );
    let late = "base: ../small.yaml\nspace: { schedule.peak: { log: [0.01, 1] } }\ntrials: 1\nasha: { rungs: [1, 4] }\n";
    let study = world.write("studies/late.yaml", late);
    world.refused(&study, &[], &["asha.rungs: must be below the 4 epochs"]);
    let study = world.write("studies/none.yaml", "base: fast.yaml\nspace: {}\ntrials: 1\n");
    world.refused(&study, &[], &["space: nothing is looked for", "base: ", "fast.yaml"]);
    let study = world.write("studies/odd.yaml", "base: quick\nspaces: {}\n");
    world.refused(&study, &[], &["odd.yaml` is not a study", "spaces"]);
}

#[test]
fn a_study_that_nobody_could_mean_is_refused_and_not_looked_through() {
    let world = World::new();
    let with = |space: &str, trials: &str| {
        world.write(
            "studies/odd.yaml",
            &format!("base: ../small.yaml\nspace: {{ {space} }}\n{trials}\n"),
        )
    };
    let peak = "schedule.peak: { log: [0.01, 1] }";
    for (space, told) in [
        (format!("{peak}, {peak}"), "duplicate entry with key \"schedule.peak\""),
        ("clip: { uniform: [1, 2], uniform: [3, 4] }".to_owned(), "duplicate entry"),
        (
            format!("{peak}, schedule: {{ choice: [{{ peak: 1 }}, {{ peak: 2 }}] }}"),
            "a part of `schedule`",
        ),
        ("schedule/peak: { log: [0.01, 1] }".to_owned(), "named by dots"),
    ] {
        world.refused(&with(&space, "trials: 1"), &[], &[told]);
    }
    world.refused(&with(peak, &format!("trials: {}", u64::MAX)), &[], &["trials: must be between"]);
    let many = format!("trials: 1\nconfirm: {}", u64::MAX);
    world.refused(&with(peak, &many), &[], &["confirm: ", "between 2 and"]);
}

#[test]
fn a_state_that_is_broken_elsewhere_or_of_other_data_is_named() {
    let world = World::new();
    let study = world.write("studies/sound.yaml", STUDY);
    world.tuned(&study, "home", &[]);
    let end = "home/sound/state/trials/0000/end.json";
    let sound = fs_err::read_to_string(world.path(end)).unwrap();
    world.write(end, &sound[..sound.len() / 2]);
    world.refused(&study, &[], &["`trials/0000/end.json` in the state at", "hint: remove it"]);
    // As the hint says; the training is there and is not repeated.
    fs_err::remove_file(world.path(end)).unwrap();
    world.tuned(&study, "home", &[]);
    assert_eq!(world.records("home")["0000"].len(), 1);

    let data = "home/sound/state/data.json";
    let known = fs_err::read_to_string(world.path(data)).unwrap();
    let (before, digest) = known.split_once("sha256:").unwrap();
    world.write(data, &format!("{before}sha256:{}{}", "0".repeat(64), &digest[64..]));
    fs_err::remove_dir_all(world.path("home/sound/state/trials")).unwrap();
    fs_err::remove_dir_all(world.runs("home")).unwrap();
    world.refused(&study, &[], &["this study is of the data quarters", "hint: name the same data"]);

    world.write("file", "");
    let file = world.path("file").display().to_string();
    world.refused(&study, &["--state", &file], &["the state at", "file"]);
    world.refused(&study, &["--state", "https://example.com/x"], &["over HTTP nobody", "hint: "]);
    world.refused(&study, &["--state", ""], &["the state at ``: it has no name", "hint: "]);
    // Nobody is asked for recipes that nothing could be told of.
    let mut first = world.tune_with(Path::new("nowhere"), &study, "home", &["--state", "ftp://x"]);
    let told = run(&mut first).stderr;
    assert!(told.contains("nothing here speaks `ftp`") && told.contains("hint: "), "{told}");
    let mut nobody = world.tune(&study, "home", &["--state", "s3://bucket/study"]);
    nobody.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ALLOW_HTTP", "true");
    nobody.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env("AWS_REGION", "eu");
    let ended = run(&mut nobody);
    assert_eq!(ended.code, Some(1));
    for told in ["listing the state at `s3://bucket/study`", "hint: look whether it answers"] {
        assert!(ended.stderr.contains(told), "{told} is not in {}", ended.stderr);
    }
}

#[test]
fn a_trainer_that_fails_ends_the_study_and_says_why() {
    let world = World::new();
    let study = world.write("studies/sound.yaml", STUDY);
    let images = world.path("data/train-images.gz");
    let sound = fs_err::read(&images).unwrap();
    fs_err::write(&images, "no gzip").unwrap();
    world.refused(&study, &[], &["trial 0000: ", "train-images.gz"]);
    fs_err::write(&images, sound).unwrap();
    world.tuned(&study, "home", &[]);
}

#[test]
#[ignore = "slow: many trainings"]
fn a_trainer_that_is_killed_again_and_again_is_a_training_that_failed_and_the_report_says_so() {
    let world = World::new();
    let base = fs_err::read_to_string(world.path("small.yaml")).unwrap();
    world.write("idle.yaml", &base.replace("peak: 0.05", "peak: 1.0e-9"));
    let study = world.write(
        "studies/short.yaml",
        "base: ../idle.yaml\nspace: { schedule.peak: { choice: [0.05, 0.04] } }\nsampler: random\ntrials: 2\nconfirm: 2\n",
    );
    // As where memory runs out, with one of the seeds.
    let trainer = world.write(
        "trainer",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *'--seed 1 '*) kill -9 $$;; esac\nexec '{}' \"$@\"\n",
            repo::release_binary("model").display()
        ),
    );
    fs_err::set_permissions(&trainer, PermissionsExt::from_mode(0o755)).unwrap();
    let told = run(&mut world.tune_with(&trainer, &study, "home", &[])).success();
    assert!(
        told.stderr.contains("not confirmed: trainings failed with seeds 1\n"),
        "{}",
        told.stderr
    );
    let trials = trials(&world.path("home/short/state"));
    for (trial, how) in [
        ("0001", "finished"),
        ("0000-seed-1", "failed"),
        ("0001-seed-1", "failed"),
        ("0001-seed-2", "finished"),
    ] {
        assert_eq!((trials[trial].how.as_str(), trials[trial].claims), (how, 1), "{trial}");
    }
    let report = world.path(told.stdout.trim_end()).with_file_name("report.md");
    let report = fs_err::read_to_string(report).unwrap();
    let reason = "- 0001-seed-1: its trainer was killed 3 times (signal: 9 (SIGKILL)";
    assert!(report.contains(reason), "{report}");
}
