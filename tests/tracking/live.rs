//! `track --follow`, by hand and beside a training.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use contract::artifact::{Artifact, MANIFEST};
use contract::digest::Digest;
use contract::run::{Record, Status};
use e2e::data;
use e2e::process::xtask;
use fs_err::File;
use serde_json::{Value, json};

use crate::mlflow::Mlflow;
use crate::proxy::{Mode, Proxy};
use crate::records::Home;

/// Nothing here is a timed test.
const PATIENCE: Duration = Duration::from_mins(8);

#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn points(run: &Value) -> usize {
    let of = |key: &str| run["metrics"][key].as_array().map_or(0, Vec::len);
    of("train/loss") + of("validation/accuracy")
}

fn last_step(run: &Value) -> Option<u64> {
    run["data"]["metrics"].as_array()?.iter().filter_map(|metric| metric["step"].as_u64()).max()
}

fn follow(home: &Home, server: &str) -> (Child, std::path::PathBuf) {
    let log = home.path().join("follow.log");
    let mut follow = xtask(home.path());
    follow.args(["track", "--follow", "latest"]).env("MLFLOW_TRACKING_URI", server);
    follow.stdin(Stdio::null()).stdout(Stdio::null());
    follow.stderr(File::create(&log).unwrap().into_parts().0);
    (follow.spawn().unwrap(), log)
}

#[test]
#[ignore = "slow: starts MLflow twice more"]
fn a_run_is_seen_while_it_is_written_and_a_server_that_dies_in_the_middle_has_all_of_it_in_the_end()
{
    let home = Home::new();
    let experiment = "dying";
    let mut run = home.begin(experiment, 1);
    let mut server = Mlflow::start();
    let (mut follow, log) = follow(&home, &server.url());
    let seen = |server: &Mlflow, step| {
        wait_for("a step at the server", || {
            let run = server.peek(experiment);
            (run["info"]["status"] == "RUNNING" && last_step(&run) >= Some(step)).then_some(())
        });
    };
    (0..3).for_each(|epoch| run.epoch(epoch));
    seen(&server, 2);
    server.kill();
    (3..6).for_each(|epoch| run.epoch(epoch));
    let said = || fs_err::read_to_string(&log).unwrap();
    wait_for("a line of trouble", || said().contains("not tracked: ").then_some(()));
    server.restart();
    seen(&server, 5);
    (6..8).for_each(|epoch| run.epoch(epoch));
    run.finish(&home.path().join("artifacts/weights"), "weights");
    assert!(follow.wait().unwrap().success(), "{}", said());

    let runs = server.runs(experiment);
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("FINISHED")));
    assert_eq!(points(&runs[0]), 16, "every point once");
    assert_eq!(runs[0]["artifacts"].as_object().unwrap().len(), 4);
    assert_eq!(said().matches("not tracked: ").count(), 1, "{}", said());
}

/// One epoch of drawn pictures.
const RECIPE: &str = "
net: { blocks: [{ channels: 4, stride: 2 }, { channels: 8, stride: 2 }] }
epochs: 2
batch: 64
schedule: { peak: 0.1 }
";

/// `cargo xtask train` with the server, which may take so many seconds for an answer. Returns its artifact, its run and
/// where its stderr goes.
fn train(home: &Home, server: &str, timeout: u32) -> (Artifact, Record, std::path::PathBuf) {
    let recipe = home.path().join("recipe.yaml");
    fs_err::write(&recipe, RECIPE).unwrap();
    let log = home.path().join("train.log");
    let mut train = xtask(home.path());
    train.args(["train", "--data", "synthetic", "--recipe"]).arg(recipe);
    train.arg("--task").arg(data::toy()).env("MLFLOW_TRACKING_URI", server);
    train.env("MLFLOW_HTTP_REQUEST_TIMEOUT", timeout.to_string());
    train.env_remove("MLFLOW_EXPERIMENT_NAME").stdin(Stdio::null()).stdout(Stdio::piped());
    train.stderr(File::create(&log).unwrap().into_parts().0);
    let ended = train.spawn().unwrap().wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", fs_err::read_to_string(&log).unwrap());
    let folder = String::from_utf8(ended.stdout).unwrap();
    let folders = fs_err::read_dir(home.runs()).unwrap().map(|entry| entry.unwrap().path());
    let [run] = &folders.collect::<Vec<_>>()[..] else { panic!("one run was made") };
    (Artifact::open(folder.trim_end().as_ref()).unwrap(), Record::read(run).unwrap(), log)
}

/// Waits until the process that follows the run has ended.
fn await_follower(home: &Home, run: &Record) {
    let lock = home.runs().join(&run.run_id).join("tracking.lock");
    wait_for("the follower's end", || File::open(&lock).ok()?.file().try_lock().ok());
}

#[test]
fn a_training_tells_the_server_by_itself_and_one_that_hangs_neither_stops_nor_fails_it() {
    let server = Mlflow::shared();
    let home = Home::new();
    let (artifact, run, log) = train(&home, &server.url(), 60);
    await_follower(&home, &run);
    let runs = server.runs(&run.experiment_name);
    let said = fs_err::read_to_string(&log).unwrap();
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("FINISHED")), "{said}");
    assert_eq!(points(&runs[0]), 4);
    assert_eq!(runs[0]["tags"]["model.version"], artifact.manifest().model_version.as_str());
    // All that an artifact is opened with, byte for byte.
    let there = runs[0]["artifacts"].as_object().unwrap();
    assert_eq!(there.len(), artifact.manifest().files.len() + 1, "{there:#?}");
    for name in artifact.manifest().files.keys().map(String::as_str).chain([MANIFEST]) {
        let here = Digest::of(&fs_err::read(artifact.path().join(name)).unwrap());
        assert_eq!(there[&format!("model/{name}")], here.hex(), "{name}");
    }
    assert!(said.contains("tracked at ") && !said.contains("not tracked"), "{said}");

    let hung = Home::new();
    let proxy = Proxy::before(server.port(), Mode::Hang);
    let (again, run, log) = train(&hung, &proxy.url(), 1);
    assert_eq!(run.status, Status::Finished, "while nobody answers");
    assert_eq!(again.manifest().model_digest, artifact.manifest().model_digest);
    await_follower(&hung, &run);
    let said = fs_err::read_to_string(&log).unwrap();
    assert_eq!(said.matches("not tracked: ").count(), 1, "{said}");
    assert!(said.contains(&format!("`cargo xtask track {}`", run.run_id)), "{said}");
    assert_eq!(server.runs(&run.experiment_name).len(), 1);
    hung.xtask(&["track", "latest"], &server.url()).success();
    assert_eq!(server.runs(&run.experiment_name).len(), 2);
}

#[test]
fn a_training_goes_on_where_the_address_is_no_servers() {
    let home = Home::new();
    let (_, run, log) = train(&home, "sqlite:///mlflow.db", 60);
    assert_eq!(run.status, Status::Finished);
    let said = fs_err::read_to_string(&log).unwrap();
    assert_eq!(said.matches("not tracked: ").count(), 1, "{said}");
}
