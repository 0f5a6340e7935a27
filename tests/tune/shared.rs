//! Workers that know nothing of each other but the state.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;

use e2e::process::{command, run};
use e2e::served::Served;
use serde_json::json;

use crate::world::{World, trials};

const STUDY: &str = "
base: ../small.yaml
space: { schedule.peak: { log: [0.01, 1] }, batch: { choice: [64, 128] } }
trials: 8
startup: 4
asha: { reduction: 2 }
confirm: 0
";

/// How many trained each trial, in both homes.
fn trained(world: &World) -> BTreeMap<String, usize> {
    let mut trained = BTreeMap::new();
    for home in ["one", "other"] {
        for (trial, runs) in world.records(home) {
            *trained.entry(trial).or_default() += runs.len();
        }
    }
    trained
}

fn both(mut workers: [Child; 2]) {
    for worker in &mut workers {
        assert!(worker.wait().unwrap().success());
    }
}

#[test]
fn two_workers_at_one_state_share_no_trial_and_find_the_same() {
    let world = World::new();
    let study = world.write("studies/shared.yaml", STUDY);
    let state = world.path("state").display().to_string();
    let args = ["--state", &state, "--jobs", "2"];
    both(["one", "other"].map(|home| world.started(&study, home, &args)));
    let known = trials(&world.path("state"));
    assert_eq!(known.len(), 8);
    assert!(known.values().all(|trial| trial.claims == 1), "{known:#?}");
    assert!(trained(&world).values().all(|times| *times == 1), "{:?}", trained(&world));
    let best = ["one", "other"].map(|home| {
        let found = world.tuned(&study, home, &args).stdout;
        fs_err::read_to_string(world.path(found.trim_end())).unwrap()
    });
    assert_eq!(best[0], best[1]);
}

#[test]
#[ignore = "slow: waits for a lease to end"]
fn what_a_worker_on_another_machine_left_is_taken_over_once_it_is_not_heard_of() {
    let world = World::new();
    let study = world.write("studies/left.yaml", &STUDY.replace("trials: 8", "trials: 2"));
    let claim = json!({
        "worker": { "host": "elsewhere", "pid": 1, "since": 0 },
        "at": 0,
        "params": { "schedule.peak": 0.07, "batch": 64 },
        "seed": 0,
    });
    let state = "home/left/state/trials/0001";
    world.write(&format!("{state}/claim-000.json"), &claim.to_string());
    world.write(&format!("{state}/beat-000"), "0");
    // It lives for as long as it is heard of.
    let mut worker = world.started(&study, "home", &["--lease", "3"]);
    for beat in 1..20 {
        std::thread::sleep(Duration::from_millis(300));
        world.write(&format!("{state}/beat-000"), &beat.to_string());
        assert!(!world.path(state).join("claim-001.json").exists(), "it was heard of");
    }
    assert!(worker.wait().unwrap().success());
    let trial = &trials(&world.path("home/left/state"))["0001"];
    assert_eq!((trial.claims, &trial.params), (2, &claim["params"]));
}

#[test]
#[ignore = "slow: another kind of state; a folder is tried out always"]
fn two_workers_share_a_state_in_s3() {
    let world = World::new();
    let study = world.write("studies/cloud.yaml", STUDY);
    let s3 = Served::s3(false);
    let mut bucket = command("curl", &std::env::temp_dir());
    run(bucket.args(["--silent", "--fail", "--request", "PUT", &format!("{}/studies", s3.url())]))
        .success();
    let tune = |home: &str| {
        let mut tune = world.tune(&study, home, &["--state", "s3://studies/some/where"]);
        tune.env("AWS_ENDPOINT_URL", s3.url()).env("AWS_ALLOW_HTTP", "true");
        tune.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        tune.env("AWS_REGION", "us-east-1");
        tune
    };
    let workers = ["one", "other"]
        .map(|home| tune(home).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    both(workers);
    let trained = trained(&world);
    assert_eq!(trained.len(), 8, "{trained:?}");
    assert!(trained.values().all(|times| *times == 1), "{trained:?}");
    let found = run(&mut tune("third")).success();
    assert!(world.records("third").is_empty(), "nothing is trained again");
    assert!(found.stdout.trim_end().ends_with("best.yaml"), "{}", found.stdout);
}
