//! The service does what its document says, as schemathesis finds out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use e2e::http::Http;
use e2e::model::quick;
use e2e::process::{command, run};
use e2e::repo;
use e2e::server::Server;
use tempfile::TempDir;

#[test]
fn the_service_is_as_its_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let key = file(&folder, "feedback.key", &"x".repeat(32));
    let server = Server::start(quick().path(), &["--feedback-key-file", &key]);
    schemathesis(&server, &[]);
}

#[test]
fn it_is_so_for_callers_with_a_key_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut mint = command(repo::release_binary("mnist-api"), &repo::root());
    let minted = run(mint.args(["key", "tests", "--scopes", "predict,feedback,admin"])).success();
    let (key, line) = minted.stdout.trim_end().split_once('\n').unwrap();
    let keys = file(&folder, "api-keys", line);
    let receipts = file(&folder, "feedback.key", &"x".repeat(32));
    let access = ["--api-keys-file", &keys, "--feedback-key-file", &receipts];
    let server = Server::start(quick().path(), &access);
    let refused = server.get("/v1/model").unwrap();
    assert_eq!(refused.status, 401);
    schemathesis(&server, &["--header", &format!("X-Api-Key: {key}")]);
}

/// Against the document that the service itself hands out, which is the reviewed one but for its title.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its Python is")]
fn schemathesis(server: &Server, args: &[&str]) {
    let python = std::env::var("E2E_CLIENTS_PYTHON").expect("run by `cargo xtask test`");
    let program = PathBuf::from(python).with_file_name("schemathesis");
    let scratch = tempfile::tempdir().unwrap();
    let mut schemathesis = command(program, scratch.path());
    schemathesis.arg("--config-file").arg(repo::root().join("tests/conformance/schemathesis.toml"));
    schemathesis.args(["run", "--no-color", "--checks", "all", "--continue-on-failure"]);
    schemathesis.args(args).arg("--url").arg(server.url(""));
    let ended = run(schemathesis.arg(repo::root().join("app/openapi.json")));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("Tested: 18"), "{}", ended.stdout);
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!(Http::default().get(&server.url("/readyz")).unwrap().status, 200);
}

fn file(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    fs_err::write(&path, content).unwrap();
    path.display().to_string()
}
