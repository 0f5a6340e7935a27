//! Another task through the same programs: 32×32 colour pictures of five shapes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use contract::artifact::Artifact;
use contract::probes::Probes;
use e2e::data;
use e2e::http::Http;
use e2e::model::train;
use e2e::process::{command, run, xtask};
use e2e::repo;
use e2e::server::Server;
use serde_json::json;

#[test]
fn a_task_file_is_all_that_another_classifier_needs() {
    let folder = tempfile::tempdir().unwrap();
    let task = data::toy();
    let task = task.to_str().unwrap();

    let artifact = train(&folder.path().join("artifact"), &["--task", task, "--recipe", "quick"]);
    let artifact = Artifact::open(&artifact).unwrap();
    let manifest = artifact.manifest();
    assert_eq!(manifest.task.name, "shapes");
    assert_eq!(manifest.data.name, "synthetic-shapes");
    assert!(manifest.metrics.accuracy > 0.9, "accuracy {}", manifest.metrics.accuracy);

    let probes = folder.path().join("probes.json");
    let mut cut = xtask(folder.path());
    cut.args(["probes", "--task", task, "--from", "synthetic", "--seed", "7", "--count", "40"]);
    run(cut.arg("--out").arg(&probes)).success();

    let server = Server::start(artifact.path(), &[]);
    let (_, pictures) = Probes::from_json(&fs_err::read(&probes).unwrap()).unwrap();
    let (_, picture) = &pictures[0];
    let body = json!({ "image": picture.pixels() });
    let answer = Http::default().post_json(&server.url("/v1/predict"), &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    let name = answer.json()["name"].as_str().unwrap().to_owned();
    assert!(manifest.task.classes.contains(&name), "{name}");

    let mut smoke = command(repo::release_binary("mnist-api"), &repo::root());
    smoke.args(["smoke", &server.url(""), "--deadline", "30s", "--probes"]).arg(&probes);
    run(smoke.args(["--expect-model-digest", &manifest.model_digest.to_string()])).success();
}
