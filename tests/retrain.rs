//! From what callers labelled to a branch that ships a model trained on it: a real service, real trainings and Git,
//! images and versioned data in folders.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "retrain/fork.rs"]
mod fork;
#[path = "retrain/killed.rs"]
mod killed;
#[path = "retrain/pod.rs"]
mod pod;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use contract::artifact::Artifact;
use contract::image::Image;
use e2e::data;
use e2e::http::Http;
use e2e::model::quick;
use e2e::process::{Ended, command, run, run_with_input};
use e2e::repo;
use e2e::server::Server;
use gitops::pin::Pin;
use serde_json::{Value, json};

use crate::fork::Fork;
use crate::scratch::{environment, says};

/// A learning rate so small that the weights stay what chance made them.
const NOTHING_LEARNED: &str = "\
net: { blocks: [{ channels: 4, kernel: 5, stride: 2 }], head: flatten }
epochs: 1
batch: 256
schedule: { peak: 1e-7 }
";

/// What a service that was asked these, and told what they are, leaves behind: its records and its log.
fn asked_and_told(fork: &Fork, pictures: &[(Image, Vec<usize>)]) -> [PathBuf; 2] {
    let [records, log] = ["records.jsonl", "log.jsonl"].map(|name| fork.scratch.path(name));
    let key = repo::root().join("app/tests/service/feedback.key");
    let args = ["--records-pixels", "1", "--feedback-key-file", key.to_str().unwrap()];
    let args = [&["--records", records.to_str().unwrap()], &args[..]].concat();
    let mut server = Server::start(fork.champion.path(), &args);
    let http = Http::default();
    for (image, labels) in pictures {
        for label in labels {
            let body = json!({ "image": image.pixels() });
            let answer = http.post_json(&server.url("/v1/predict"), &body).unwrap().json();
            let body = json!({ "receipt": answer["receipt"], "label": label });
            assert_eq!(http.post_json(&server.url("/v1/feedback"), &body).unwrap().status, 200);
        }
    }
    server.signal("TERM");
    server.ended();
    fs_err::write(&log, server.log()).unwrap();
    [records, log]
}

/// Not one that was trained on, validated with or tested.
fn faded(image: &Image) -> Image {
    let faded: Vec<u8> = image.pixels().iter().map(|pixel| pixel / 2).collect();
    Image::new(image.shape(), faded).unwrap()
}

#[test]
fn what_callers_labelled_becomes_a_branch_that_ships_a_model_trained_on_it() {
    let fork = Fork::new();
    let tested = data::test_images();
    let mut pictures: Vec<(Image, Vec<usize>)> =
        tested[..20].iter().map(|(label, image)| (faded(image), vec![*label])).collect();
    // Believed of nobody, and one that the model is tested with.
    pictures.push((faded(&tested[20].1), vec![0, 1]));
    pictures.push((tested[21].1.clone(), vec![tested[21].0]));
    let [records, log] = asked_and_told(&fork, &pictures);
    let [records, log] = [&records, &log].map(|path| path.to_str().unwrap());
    let args = [
        "--recipe",
        "quick",
        "--image",
        "127.0.0.1:9/o/api",
        // Records are demanded, by the gate and by the release.
        "--policy",
        &fork.policy("{ min_images: 20, max_flips: 1, required: true }"),
        "--feedback",
        log,
        "--records",
        records,
    ];
    let main = fork.scratch.git("remote", &["rev-parse", "main"]);

    let rehearsed = fork.retrain(&[&args[..], &["--dry-run"]].concat());
    says(
        &rehearsed,
        0,
        &["21 pictures added to 0", "labelled in two ways | 2", "nothing was changed"],
    );
    assert!(fork.branches().is_empty() && !fork.scratch.path("store").exists());
    assert_eq!(fork.changes(), "");

    let done = fork.retrain(&args);
    says(
        &done,
        0,
        &[
            "# Retraining for staging",
            "20 of them labelled",
            "holds: accuracy",
            "pushed as retrain/",
        ],
    );
    let [branch] = &fork.branches()[..] else { panic!("{:?}", fork.branches()) };
    assert_eq!(fork.scratch.git("remote", &["rev-parse", "main"]), main);
    assert_eq!(fork.changes(), "");
    let manifest = fork.trained(branch);
    assert_eq!(manifest.data.added, 20);
    assert_ne!(manifest.data.digest, fork.champion.manifest().data.digest);
    // One commit with what it was trained on, and one that ships it.
    let parents = fork.scratch.git("remote", &["rev-list", &format!("main..{branch}")]);
    let commits: Vec<&str> = parents.lines().collect();
    assert_eq!(commits.len(), 2, "{parents}");
    let pinned = fork.shown(&format!("{branch}:{}", environment("staging").pin_file()));
    assert_eq!(Pin::from_yaml(&pinned).unwrap().model_digest, manifest.model_digest);
    assert!(fork.shown(&format!("{}:model/data/feedback.dvc", commits[1])).contains("nfiles: 21"));
    let source = &manifest.source;
    assert_eq!((source.git_revision.as_deref(), source.dirty), (Some(commits[1]), false));
    // Whoever has the branch gets the pictures.
    fork.scratch.add_clone("reviewer");
    fork.scratch.git("reviewer", &["switch", "--quiet", branch]);
    let mut pull = command(repo::release_binary("mlops"), &fork.scratch.path("reviewer"));
    run(pull.args(["data", "pull"])).success();

    says(&fork.retrain(&args), 0, &["21 pictures added to 0", "is there"]);
    assert_eq!(fork.branches().len(), 1);

    // Merged, main says what is trained on, and every training does.
    fork.scratch.git("reviewer", &["push", "--quiet", "origin", &format!("{branch}:main")]);
    fork.scratch.git("reviewer", &["push", "--quiet", "--delete", "origin", branch]);
    says(&fork.retrain(&["--recipe", "quick"]), 1, &["main has other labelled", "hint: git pull"]);
    // What is new comes to what main has, whatever the checkout is at; and no commit has both.
    let [records, log] = asked_and_told(&fork, &[(faded(&tested[22].1), vec![tested[22].0])]);
    let [records, log] = [&records, &log].map(|path| path.to_str().unwrap());
    let stale = ["--recipe", "quick", "--artifact-only", "--feedback", log, "--records", records];
    says(&fork.retrain(&stale), 0, &["1 pictures added to 21"]);
    let [branch] = &fork.branches()[..] else { panic!("{:?}", fork.branches()) };
    assert!(fork.shown(&format!("{branch}:model/data/feedback.dvc")).contains("nfiles: 22"));
    assert!(fork.trained(branch).source.dirty);
    fork.scratch.git("reviewer", &["push", "--quiet", "--delete", "origin", branch]);

    fork.scratch.git("clone", &["pull", "--quiet", "--ff-only"]);
    let again = fork.retrain(&["--recipe", "quick"]);
    says(&again, 0, &["20 of them labelled", "nothing to do: staging runs"]);
    assert!(fork.branches().is_empty());
}

#[test]
fn what_the_gate_refuses_is_pushed_nowhere() {
    let fork = Fork::new();
    let recipe = fork.scratch.path("nothing.yaml");
    fs_err::write(&recipe, NOTHING_LEARNED).unwrap();
    let tested = data::test_images();
    let [records, log] = asked_and_told(&fork, &[(faded(&tested[0].1), vec![tested[0].0])]);
    let refs = fork.scratch.refs();
    let [recipe, records, log] = [&recipe, &records, &log].map(|path| path.to_str().unwrap());
    let args = ["--recipe", recipe, "--feedback", log, "--records", records];
    says(&fork.retrain(&args), 5, &["## Gate", "fails: accuracy", "may not ship"]);
    assert_eq!(fork.scratch.refs(), refs);
    assert!(!fork.scratch.path("store").exists());
    assert_eq!(fork.changes(), "");
    // Neither is a report replaced that is none, and that is said before the training.
    let ended = fork.retrain(&[&args[..], &["--report", "model"]].concat());
    says(&ended, 1, &["is no part of a report"]);
    assert!(!ended.stdout.contains("# Retraining"), "{}", ended.stdout);
}

#[test]
fn pictures_that_no_commit_has_are_not_trained_on() {
    let fork = Fork::new();
    let pointer = "outs:\n- md5: d751713988987e9331980363e24189ce.dir\n  size: 0\n  nfiles: 0\n  hash: md5\n  path: feedback\n";
    fs_err::create_dir(fork.scratch.path("clone/model/data")).unwrap();
    fs_err::write(fork.scratch.path("clone/model/data/feedback.dvc"), pointer).unwrap();
    for args in [&["train", "--recipe", "quick"][..], &["retrain", "--recipe", "quick"]] {
        let refused = run(&mut fork.xtask(args));
        says(
            &refused,
            1,
            &["model/data/feedback.dvc` is not what the newest commit has", "hint: "],
        );
    }
    assert!(fork.branches().is_empty());
}

#[test]
fn where_no_image_can_be_built_the_branch_has_the_artifact() {
    let fork = Fork::new();
    // Another than the champion.
    let done = fork.retrain(&["--recipe", "quick", "--seed", "7", "--artifact-only"]);
    says(&done, 0, &["A model to release: artifacts/", "pushed as retrain/staging/"]);
    let [branch] = &fork.branches()[..] else { panic!("{:?}", fork.branches()) };
    fork.scratch.add_clone("releaser");
    fork.scratch.git("releaser", &["switch", "--quiet", branch]);
    let mut pull = command(repo::release_binary("mlops"), &fork.scratch.path("releaser"));
    run(pull.args(["data", "pull"])).success();
    let manifest = fork.trained(branch);
    let name = format!("artifacts/{}-{}", manifest.data.name, manifest.model_version);
    let pulled = Artifact::open(&fork.scratch.path("releaser").join(name)).unwrap();
    assert_eq!(pulled.manifest(), &manifest);
}

/// Answers once to whoever starts a workflow; what it was asked comes back.
fn workflow(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut asked, mut buffer) = (String::new(), [0; 4096]);
        while !asked.ends_with('}') {
            let read = stream.read(&mut buffer).unwrap();
            asked.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        asked
    });
    (format!("http://127.0.0.1:{port}/repos/o/r/actions/workflows/retrain.yml/dispatches"), asked)
}

fn message(status: &str) -> String {
    let alert =
        json!({ "status": status, "labels": { "alertname": "InputsDrift", "signal": "ink" } });
    json!({ "version": "4", "status": status, "alerts": [alert] }).to_string()
}

fn alerted(message: &str, args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut retrain = command(repo::xtask(), folder.path());
    retrain.args(["retrain", "--alert", "-"]).args(args);
    retrain.env_remove("XTASK_DISPATCH").env_remove("XTASK_DISPATCH_TOKEN");
    run_with_input(&mut retrain, message.as_bytes())
}

#[test]
fn a_log_that_answers_no_request_is_named_and_one_that_does_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for (log, line) in
        [("sound", "{\"target\":\"access\"}\n"), ("prefixed", "pod-1 {\"target\":\"access\"}\n")]
    {
        fs_err::write(folder.path().join(log), line).unwrap();
    }
    let mut feedback = command(repo::release_binary("mlops"), folder.path());
    feedback.args([
        "feedback",
        "--out",
        "out",
        "--records",
        "sound",
        "--feedback",
        "sound",
        "prefixed",
    ]);
    let told = run(feedback.arg("--model").arg(quick().path())).success().stderr;
    assert!(told.contains("warning: no request was answered in `prefixed`\nhint: "), "{told}");
    assert_eq!(told.matches("warning: ").count(), 1, "{told}");
}

#[test]
fn an_alert_that_fires_starts_the_workflow_and_one_that_is_over_nothing() {
    says(&alerted(&message("resolved"), &[]), 0, &["nothing to do: no alert fires"]);
    says(&alerted("{}", &[]), 2, &["no message of Alertmanager's", "hint: "]);
    let start = |status, args: &[&str]| {
        let (url, asked) = workflow(status);
        let ended = alerted(&message("firing"), &[&["--dispatch", &url], args].concat());
        (ended, asked)
    };
    let token = ["--dispatch-token", "a-token"];
    let (ended, asked) = start("204 No Content", &token);
    says(&ended, 0, &["firing: InputsDrift", "started the workflow"]);
    let asked = asked.join().unwrap();
    assert!(
        asked.starts_with("POST /repos/o/r/actions/workflows/retrain.yml/dispatches "),
        "{asked}"
    );
    assert!(asked.contains("authorization: Bearer a-token"), "{asked}");
    let body: Value = serde_json::from_str(asked.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body, json!({ "ref": "main" }));
    says(&start("503 Service Unavailable", &token).0, 75, &["503", "hint: "]);
    says(&start("403 Forbidden", &token).0, 1, &["403", "hint: "]);
    let nowhere = ["--dispatch", "http://127.0.0.1:9/", "--dispatch-token", "a-token"];
    says(&alerted(&message("firing"), &nowhere), 75, &["hint: "]);
    says(&alerted(&message("firing"), &nowhere[..2]), 1, &["no token", "hint: "]);
}
