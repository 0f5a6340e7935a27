//! Workers of one process, and the thread beside them that speaks to MLflow.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use e2e::process::run_unless_it_hangs;
use e2e::repo;

use crate::world::World;

const STUDY: &str = "
base: ../small.yaml
space: { schedule.peak: { choice: [0.05, 0.3] } }
sampler: random
trials: 2
confirm: 0
";

#[test]
fn a_worker_that_goes_takes_the_others_along_and_its_trial_is_begun_again() {
    let world = World::new();
    let study = world.write("studies/team.yaml", STUDY);
    // The first trial fails for a reason that is not its recipe's; the other would go on.
    let model = repo::release_binary("model");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in 'train '*-0000.yaml*) exit 9;; esac\nexec '{}' \"$@\"\n",
        model.display()
    );
    let trainer = world.write("trainer", &script);
    fs_err::set_permissions(&trainer, PermissionsExt::from_mode(0o755)).unwrap();
    let mut tune = world.tune_with(&trainer, &study, "home", &["--jobs", "2"]);
    let ended = run_unless_it_hangs(&mut tune);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("error: trial 0000: "), "{}", ended.stderr);
    // Claimed by a process that is gone, both are anybody's.
    let told = world.tuned(&study, "home", &["--jobs", "2"]).stderr;
    assert!(told.contains("trial 0000: again, "), "{told}");
}

#[test]
fn what_was_found_is_told_before_a_server_that_hangs_is_waited_for() {
    let world = World::new();
    let study = world.write("studies/hung.yaml", STUDY);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut tune = world.tune(&study, "home", &[]);
    tune.env("MLFLOW_TRACKING_URI", format!("http://{}", server.local_addr().unwrap()));
    let mut tuner = tune.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut found = String::new();
    BufReader::new(tuner.stdout.take().unwrap()).read_line(&mut found).unwrap();
    assert!(found.ends_with("best.yaml\n"), "{found}");
    // Who hung up is given up after seconds.
    drop(server);
    assert!(tuner.wait().unwrap().success());
    let mut told = String::new();
    tuner.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let [report, given_up] = ["report: ", "not tracked: "].map(|line| told.find(line));
    assert!(report.is_some() && report < given_up, "{told}");
}
