//! From a drift alert to a new training: Alertmanager routes it as it is told to be, `gitops-listen` takes it, and
//! `xtask` understands what it is handed.

use std::process::Stdio;
use std::time::Instant;

use e2e::http::Http;
use e2e::process::command;
use e2e::repo;
use e2e::server::free_port;
use serde_json::{Value, json};

use super::{Daemon, PATIENCE, monitoring};

const TOKEN: &str = "the-token-of-a-test";

/// In place of a training: writes down what it was called with, and handed.
const XTASK: &str =
    "#!/bin/sh\necho \"$@\" > arguments\ncat > message.new\nmv message.new message\n";

#[test]
fn an_alert_of_drift_is_handed_to_retrain_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [listen, alertmanager] = [free_port(), free_port()];
    fs_err::write(path("xtask"), XTASK).unwrap();
    assert!(command("chmod", folder.path()).args(["+x", "xtask"]).status().unwrap().success());
    fs_err::write(path("token"), TOKEN).unwrap();
    let mut receiver = command(repo::gitops_listen(), folder.path());
    receiver.args(["--port", &listen.to_string(), "--spool", "spool", "--token-file", "token"]);
    receiver.args(["--xtask", path("xtask").to_str().unwrap()]);
    let receiver = receiver.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let config = fs_err::read_to_string(monitoring().join("alertmanager.yml")).unwrap();
    let mut config: Value = serde_yaml::from_str(&config).unwrap();
    config["route"]["routes"][0]["group_wait"] = json!("0s");
    let hook = &mut config["receivers"][1]["webhook_configs"][0];
    assert_eq!(hook["url"], "http://gitops-listen.argocd:8080/alerts");
    hook["url"] = json!(format!("http://127.0.0.1:{listen}/alerts"));
    hook["http_config"]["authorization"]["credentials_file"] = json!(path("token"));
    fs_err::write(path("alertmanager.yml"), config.to_string()).unwrap();
    let args = [
        format!("--web.listen-address=127.0.0.1:{alertmanager}"),
        "--storage.path=data".to_owned(),
        "--config.file=alertmanager.yml".to_owned(),
        "--cluster.listen-address=".to_owned(),
    ];
    let _daemons =
        [Daemon(receiver), Daemon::start("prometheus-alertmanager", folder.path(), &args)];

    let url = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
    until(|| Http::default().get(&url(listen, "/readyz")).is_ok_and(|reply| reply.status == 200));
    until(|| {
        Http::default().get(&url(alertmanager, "/-/ready")).is_ok_and(|reply| reply.status == 200)
    });
    let alert = |name: &str, namespace: &str| {
        let labels = json!({ "alertname": name, "namespace": namespace, "signal": "ink" });
        let alerts = json!([{ "labels": labels }]);
        let posted = Http::default().post_json(&url(alertmanager, "/api/v2/alerts"), &alerts);
        assert_eq!(posted.unwrap().status, 200);
    };
    alert("ErrorsBurnFast", "team-production");
    alert("InputsDrift", "team-staging");
    alert("InputsDrift", "team-production");
    until(|| path("message").is_file());
    let all = Http::default().get(&url(alertmanager, "/api/v2/alerts")).unwrap();
    let all: Value = serde_json::from_slice(&all.body).unwrap();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 3, "{all:?}");
    for alert in all {
        let receivers = alert["receivers"].as_array().unwrap();
        assert!(receivers.contains(&json!({ "name": "people" })), "{alert:#}");
    }
    let arguments = fs_err::read_to_string(path("arguments")).unwrap();
    assert_eq!(arguments.trim(), "retrain --alert -");
    let message = fs_err::read_to_string(path("message")).unwrap();
    let sent: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(sent["alerts"].as_array().map(Vec::len), Some(1), "{sent:#}");
    assert_eq!(sent["alerts"][0]["labels"]["namespace"], "team-production");

    // What would be asked for is a workflow, and this port takes none.
    let mut retrain = command(repo::xtask(), folder.path());
    retrain.args(["retrain", "--alert", "message", "--dispatch", "http://127.0.0.1:9/"]);
    let ended = e2e::process::run(retrain.args(["--dispatch-token", "t"]));
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("firing: InputsDrift"), "{}", ended.stderr);
}

#[track_caller]
fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
