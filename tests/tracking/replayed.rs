//! `track`, after the fact.

use contract::artifact::WEIGHTS;
use contract::digest::Digest;
use contract::run::Status;
use serde_json::{Value, json};

use crate::mlflow::Mlflow;
use crate::proxy::{Mode, Proxy};
use crate::records::{BEGAN, COMMIT, Home};

#[test]
fn everything_recorded_is_read_back_by_mlflows_own_client_and_sending_twice_doubles_nothing() {
    let home = Home::new();
    let experiment = "replayed";
    let finished = home.finished(experiment, 1, "weights of one");
    let mut long = home.begin(experiment, 2);
    // More than MLflow takes at once.
    long.points("train/loss", (0..1203).map(|step| f64::from(step) / 7.0));
    long.points("odd", [f64::NAN, 0.5]);
    long.end(Status::Failed);
    let mut killed = home.begin(experiment, 3);
    killed.epoch(0);
    killed.abandon();

    let server = Mlflow::shared();
    let sent = home.xtask(&["track"], &server.url()).success();
    assert_eq!(sent.stdout.matches("/#/experiments/").count(), 3, "{}", sent.stdout);
    let runs = server.runs(experiment);
    let [first, second, third] = &runs[..] else { panic!("{runs:#?}") };

    assert_eq!(first["name"], "quick-1");
    assert_eq!(first["status"], "FINISHED");
    assert_eq!(
        (&first["start_time"], &first["end_time"]),
        (&json!(BEGAN + 1), &json!(BEGAN + 16_772))
    );
    assert_eq!(first["params"], json!({ "batch": "128", "recipe": "quick", "seed": "1" }));
    let weights = Digest::of(b"weights of one");
    for (tag, value) in [
        ("xtask.run_id", finished.run_id.as_str()),
        ("mlflow.source.git.commit", COMMIT),
        ("mlflow.source.git.dirty", "false"),
        ("mlflow.source.name", "cargo xtask train"),
        ("data.digest", &finished.dataset.digest.to_string()),
        ("model.digest", &weights.to_string()),
        ("model.version", &weights.hex()[..12]),
    ] {
        assert_eq!(first["tags"][tag], value, "{tag}");
    }
    let loss = json!([[0, "1.0", BEGAN + 500], [1, "0.5", BEGAN + 1500]]);
    assert_eq!(first["metrics"]["train/loss"], loss);
    assert_eq!(first["metrics"]["test/accuracy"], json!([[1, "0.99", BEGAN + 1500]]));
    let data = &first["data"][0];
    assert_eq!((&data["name"], &data["context"]), (&json!(experiment), &json!("training")));
    assert_eq!(data["digest"], finished.dataset.digest.hex()[..32]);
    assert_eq!(data["profile"]["num_rows"], 60_000);
    let artifacts = first["artifacts"].as_object().unwrap();
    assert_eq!(artifacts.len(), finished.artifacts.len());
    for file in &finished.artifacts {
        assert_eq!(artifacts[&format!("model/{}", file.path)], file.digest.hex(), "{}", file.path);
    }
    assert_eq!(second["status"], "FAILED");
    assert_eq!(second["metrics"]["train/loss"].as_array().unwrap().len(), 1203);
    assert_eq!(second["metrics"]["odd"][0][1], "nan");
    assert_eq!((&third["status"], &third["end_time"]), (&json!("KILLED"), &json!(BEGAN + 500)));

    home.xtask(&["track"], &server.url()).success();
    home.xtask(&["track", "latest"], &server.url()).success();
    assert_eq!(json!(server.runs(experiment)), json!(runs), "nothing new, nothing twice");
}

#[test]
fn an_artifact_that_is_no_longer_the_runs_is_not_sent_in_its_place() {
    let home = Home::new();
    let experiment = "altered";
    home.finished(experiment, 1, "weights");
    fs_err::write(home.path().join("artifacts/weights").join(WEIGHTS), "WEIGHTS").unwrap();
    let server = Mlflow::shared();
    let sent = home.xtask(&["track"], &server.url());
    assert_eq!(sent.code, Some(1), "{}", sent.stderr);
    assert!(sent.stderr.contains("no longer what it was: weights.safetensors"), "{}", sent.stderr);
    let run = &server.runs(experiment)[0];
    assert_eq!(run["status"], "FINISHED", "the rest is told");
    assert_eq!(run["artifacts"].as_object().unwrap().len(), 3);
}

#[test]
fn a_server_that_is_away_fails_or_is_slow_loses_and_doubles_nothing() {
    let home = Home::new();
    let experiment = "disturbed";
    home.finished(experiment, 1, "weights");
    let away = home.xtask(&["track"], "http://127.0.0.1:9");
    assert!(away.code == Some(1) && away.stderr.contains("does not answer"), "{}", away.stderr);

    let server = Mlflow::shared();
    let proxy = Proxy::before(server.port(), Mode::Fail);
    let failing = home.xtask(&["track"], &proxy.url());
    assert!(
        failing.code == Some(1) && failing.stderr.contains("with 500: oops"),
        "{}",
        failing.stderr
    );
    assert!(server.runs(experiment).is_empty());

    proxy.set(Mode::Slow);
    home.xtask(&["track"], &proxy.url()).success();
    assert!(proxy.spoiled() > 3);
    let runs = server.runs(experiment);
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("FINISHED")));
    assert_eq!(runs[0]["artifacts"].as_object().unwrap().len(), 4);
}

/// Wherever it is cut off, the next try ends with the same.
#[test]
fn what_was_broken_off_anywhere_is_ended_by_the_next_try() {
    let home = Home::new();
    let experiment = "broken-off";
    home.finished(experiment, 1, "weights");
    let server = Mlflow::shared();
    let id = home.xtask(&["runs", "list", "--json"], "").success().stdout;
    let id: Value = serde_json::from_str(&id).unwrap();
    for after in [1, 3, 5, 8] {
        let proxy = Proxy::failing_after(server.port(), after);
        let broken = home.xtask(&["track"], &proxy.url());
        assert_eq!(broken.code, Some(1), "{after}: {}", broken.stderr);
    }
    home.xtask(&["track"], &server.url()).success();
    let runs = server.runs(experiment);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["tags"]["xtask.run_id"], id[0]["run_id"]);
    assert_eq!(runs[0]["metrics"]["train/loss"].as_array().unwrap().len(), 2);
    assert_eq!(runs[0]["artifacts"].as_object().unwrap().len(), 4);
}

#[test]
fn of_two_that_machines_made_at_once_one_stays_and_has_everything() {
    let (home, server, experiment) = (Home::new(), Mlflow::shared(), "twins");
    home.finished(experiment, 1, "weights");
    home.xtask(&["track"], &server.url()).success();
    let before = server.runs(experiment);
    let [run] = &before[..] else { panic!("{before:#?}") };
    // Ids are random, and the smallest stays: not the one that has everything already.
    let mut twins: Vec<String> = Vec::new();
    while twins.is_empty() || twins.iter().all(|id| id.as_str() > run["id"].as_str().unwrap()) {
        twins.push(server.twin(experiment, run));
    }
    let left = || {
        let mut runs = server.runs(experiment);
        runs.retain(|run| run["deleted"] == false);
        let [left] = &runs[..] else { panic!("{runs:#?}") };
        left.clone()
    };
    home.xtask(&["track"], &server.url()).success();
    let kept = left();
    assert_eq!(kept["id"], *twins.iter().min().unwrap());
    for same in ["name", "status", "params", "metrics", "artifacts", "data", "start_time"] {
        assert_eq!(kept[same], run[same], "{same}");
    }
    // Another that was deleted, be it the smallest, deletes no other.
    let smaller = loop {
        let twin = server.twin(experiment, run);
        if twin.as_str() < kept["id"].as_str().unwrap() {
            break twin;
        }
    };
    server.delete(&smaller);
    home.xtask(&["track"], &server.url()).success();
    assert_eq!(left()["id"], kept["id"]);
}

#[test]
fn a_store_that_is_no_server_is_refused_with_the_way_to_one() {
    let home = Home::new();
    for uri in ["sqlite:///mlflow.db", "mlruns"] {
        let refused = home.xtask(&["track"], uri);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains("mlflow server --backend-store-uri"), "{}", refused.stderr);
    }
}
