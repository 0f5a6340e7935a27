//! Clients of the Open Inference Protocol as others ship them: what they get is what `/v1` says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use contract::image::{Image, Shape};
use e2e::data;
use e2e::http::Http;
use e2e::model::quick;
use e2e::process::{command, run};
use e2e::repo;
use e2e::server::Server;
use serde_json::{Value, json};

#[test]
#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its Python is")]
fn existing_clients_work_as_they_are() {
    let python = std::env::var("E2E_CLIENTS_PYTHON").expect("run by `cargo xtask test`");
    let artifact = quick();
    // What an answer then has beside its tensors disturbs none of them.
    let key = repo::root().join("app/tests/service/feedback.key");
    let args = ["--feedback-key-file", key.to_str().unwrap()];
    let server = Server::start(artifact.path(), &args);
    let images: Vec<Image> =
        data::probes().0.into_iter().take(16).map(|(_, image)| image).collect();
    let pixels: Vec<&[u8]> = images.iter().map(Image::pixels).collect();
    let body = json!({ "images": pixels });
    let reply = Http::default().post_json(&server.url("/v1/predict/batch"), &body).unwrap().json();
    let predictions = reply["predictions"].as_array().unwrap();
    let labels: Vec<&Value> = predictions.iter().map(|answer| &answer["label"]).collect();
    let Shape { height, width, channels } = images[0].shape();
    let probes = json!({ "shape": [height, width, channels], "pixels": pixels, "labels": labels });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probes.json");
    fs_err::write(&file, probes.to_string()).unwrap();

    let manifest = artifact.manifest();
    let mut clients = command(PathBuf::from(python), &repo::root());
    clients.arg("app/tests/python/inference_clients.py").arg("--probes").arg(&file);
    clients.args(["--address", &server.url("").replace("http://", "")]);
    clients.args(["--model", &manifest.task.name, "--version", manifest.model_version.as_str()]);
    let ended = run(&mut clients).success();
    for client in ["by_triton", "by_open_inference"] {
        assert!(ended.stdout.contains(&format!("{client}: 16 pictures")), "{}", ended.stdout);
    }
}
