//! `registry`: aliases that say what main says.

use contract::artifact::WEIGHTS;
use contract::digest::Digest;
use e2e::process::{Ended, run, xtask};
use gitops::pin::Pin;
use serde_json::{Value, json};

use crate::mlflow::Mlflow;
use crate::records::Home;
use crate::scratch::{PASSED, Scratch, event, pin};

const MODEL: &str = "toy-model";

/// `cargo xtask registry` of the scratch's main.
fn registry(scratch: &Scratch, server: &str) -> Ended {
    let mut xtask = xtask(&scratch.path("home"));
    xtask.args(["registry", "--model", MODEL, "--remote"]).arg(scratch.path("remote"));
    xtask.arg("--clone").arg(scratch.path("seen")).env("MLFLOW_TRACKING_URI", server);
    run(&mut xtask)
}

/// By alias the content of the weights, as MLflow's client downloads them by `models:/…@ALIAS`.
fn aliases(server: &Mlflow) -> Value {
    let told = server.read(&json!({ "model": MODEL }));
    let mut aliases = told["aliases"].clone();
    for files in aliases.as_object_mut().unwrap().values_mut() {
        let found = files.as_object().unwrap().iter().find(|(path, _)| path.ends_with(WEIGHTS));
        *files = found.unwrap().1.clone();
    }
    json!({ "aliases": aliases, "versions": told["versions"] })
}

#[test]
fn champion_and_previous_are_what_main_verified_and_a_rollback_moves_them_back() {
    let home = Home::new();
    let weights = ["one", "two", "three"];
    for (seed, weights) in (1..).zip(weights) {
        home.finished("registered", seed, weights);
    }
    let server = Mlflow::shared();
    home.xtask(&["track"], &server.url()).success();

    let scratch = Scratch::new();
    let of = |weights: &str, version: &str| Pin {
        model_digest: Digest::of(weights.as_bytes()),
        ..pin(version)
    };
    let hex = |weights: &str| Digest::of(weights.as_bytes()).hex();
    registry(&scratch, &server.url()).success();
    assert_eq!(aliases(server)["aliases"], json!({}), "nothing was verified");

    scratch.verified("production", &of("one", "1.0.0"));
    scratch.verified("production", &of("two", "1.1.0"));
    let third = scratch.release("production", &of("three", "1.2.0"));
    registry(&scratch, &server.url()).success();
    let two = json!({ "champion": hex("two"), "previous": hex("one") });
    assert_eq!(aliases(server)["aliases"], two, "the third waits for its verdict");

    scratch.report(&event("production", &third, PASSED)).success();
    registry(&scratch, &server.url()).success();
    registry(&scratch, &server.url()).success();
    let three = json!({ "champion": hex("three"), "previous": hex("two") });
    assert_eq!(aliases(server), json!({ "aliases": three, "versions": [1, 2, 3] }));

    let rolled = scratch.xtask(&["rollback", "production", "--reason", "worse"]);
    assert_eq!(rolled.code, Some(0), "{}", rolled.stderr);
    registry(&scratch, &server.url()).success();
    assert_eq!(aliases(server)["aliases"], two, "both are moved back");

    scratch.verified("production", &of("unknown", "1.3.0"));
    let unknown = registry(&scratch, &server.url());
    assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("no run at MLflow made model"), "{}", unknown.stderr);
}
