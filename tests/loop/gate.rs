//! What may ship, and what `release` refuses before it builds anything.

use std::path::Path;

use contract::digest::Digest;
use e2e::artifact::Claims;
use gitops::pin::Pin;

use crate::scratch::{PASSED, Scratch, event, pin_in, says};

/// A fork with the shipped policy, whose production runs `champion`.
fn fork(champion: Option<&Claims>) -> Scratch {
    let scratch = Scratch::new();
    let policy = fs_err::read(e2e::repo::root().join("model/gate.yaml")).unwrap();
    fs_err::create_dir_all(scratch.path("clone/model")).unwrap();
    fs_err::write(scratch.path("clone/model/gate.yaml"), policy).unwrap();
    if let Some(champion) = champion {
        champion.write(&scratch.path("clone/artifacts"));
        // Of a registry that has lost it.
        let pin = Pin { model_digest: champion.digest(), ..pin_in("gone", "1.0.0") };
        let commit = scratch.release("production", &pin);
        scratch.report(&event("production", &commit, PASSED)).success();
    }
    scratch
}

/// What the task's generator calls its pictures.
fn generated() -> String {
    e2e::data::task()
        .data
        .synthetic
        .expect("the shipped task has a generator")
        .data_name()
        .to_owned()
}

fn judge(scratch: &Scratch, candidate: &Claims, code: i32, words: &[&str]) {
    let folder = candidate.write(&scratch.path("candidate"));
    says(&scratch.xtask(&["gate", "--model", folder.to_str().unwrap()]), code, words);
}

#[test]
fn a_model_that_keeps_to_every_limit_may_ship() {
    let champion = Claims::good("champion");
    let scratch = fork(None);
    judge(&scratch, &champion, 0, &["accuracy 99.80 %", "there is no champion yet", "100 µs"]);
    let scratch = fork(Some(&champion));
    let same = Claims { name: "candidate", ..champion.clone() };
    judge(&scratch, &same, 0, &["0 images gained, 0 lost, p = 1.000"]);
    let unlucky = Claims { wrong: vec![1, 2, 3, 4], ..same.clone() };
    judge(&scratch, &unlucky, 0, &["0 images gained, 2 lost, p = 0.250"]);
    judge(&scratch, &champion, 0, &["p = 1.000"]);
}

#[test]
fn each_limit_alone_keeps_a_model_from_shipping() {
    let champion = Claims::good("champion");
    let scratch = fork(Some(&champion));
    let good = Claims { name: "candidate", ..champion };
    let fails = |claims: Claims, sentence: &str| {
        let folder = claims.write(&scratch.path("candidate"));
        let ended = scratch.xtask(&["gate", "--model", folder.to_str().unwrap()]);
        says(&ended, 5, &["may not ship", "hint: "]);
        let failed: Vec<_> =
            ended.stdout.lines().filter(|line| line.starts_with("fails:")).collect();
        assert!(failed.len() == 1 && failed[0].contains(sentence), "{failed:?}");
    };
    fails(Claims { microseconds_per_image: 1001.0, ..good.clone() }, "1001 µs");
    fails(Claims { batch: 8, ..good.clone() }, "no latency was measured at batch 1");
    fails(Claims { wrong: (0..9).collect(), ..good.clone() }, "0 images gained, 7 lost, p = 0.008");
    let scratch = fork(None);
    judge(&scratch, &Claims { wrong: (0..16).collect(), ..good.clone() }, 5, &["fails: accuracy"]);
    let drawn = Claims { data: generated(), ..good };
    judge(&scratch, &drawn, 5, &["fails: trained on `synthetic-"]);
}

#[test]
fn what_cannot_be_judged_is_not_let_pass() {
    let drawn = Claims { data: generated(), ..Claims::good("champion") };
    let scratch = fork(Some(&drawn));
    let good = Claims::good("candidate");
    judge(&scratch, &good, 5, &["it cannot be compared with the champion", "`synthetic-"]);

    fs_err::remove_dir_all(scratch.path("clone/artifacts")).unwrap();
    judge(
        &scratch,
        &good,
        1,
        &["the champion", "is neither here nor at", "hint: push its artifact"],
    );

    let scratch = fork(None);
    let folder = good.write(&scratch.path("candidate"));
    fs_err::write(folder.join("evaluation.json"), "{}").unwrap();
    let ended = scratch.xtask(&["gate", "--model", folder.to_str().unwrap()]);
    says(&ended, 1, &["was changed after training"]);
    says(
        &scratch.xtask(&["gate", "--model", "nowhere"]),
        1,
        &["nowhere", "hint: `cargo xtask train`"],
    );
    let policy = scratch.path("clone/model/gate.yaml");
    let text = fs_err::read_to_string(&policy).unwrap().replace("min_accuracy", "min_acuracy");
    fs_err::write(&policy, text).unwrap();
    judge(&scratch, &good, 1, &["model/gate.yaml", "min_acuracy", "line", "hint: "]);
}

/// Nothing on main or its marks moves.
fn release(scratch: &Scratch, model: &Path, args: &[&str], code: i32, words: &[&str]) {
    let refs = scratch.refs();
    let args = [&["release", "--model", model.to_str().unwrap()], args].concat();
    says(&scratch.xtask(&args), code, words);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn a_release_is_refused_before_anything_is_built() {
    let scratch = fork(None);
    fs_err::copy(e2e::repo::root().join(".dockerignore"), scratch.path("clone/.dockerignore"))
        .unwrap();
    let good = Claims::good("candidate").write(&scratch.path("candidate"));
    let place = ["--image", "127.0.0.1:9/team/api"];
    release(&scratch, &good, &[], 2, &["nothing says where images", "hint: --image"]);
    release(&scratch, &good, &["--env", "stage"], 2, &["no environment", "hint: "]);
    let bad = Claims { wrong: (0..500).collect(), ..Claims::good("bad") };
    let bad = bad.write(&scratch.path("candidate"));
    let refused = ["refused, and nothing was changed", "the gate refuses", "fails: accuracy"];
    release(&scratch, &bad, &place, 3, &refused);

    let refused = ["fails: what the service is built from is not committed"];
    release(&scratch, &good, &place, 3, &refused);

    scratch.xtask(&["freeze", "staging", "--reason", "because"]).success();
    release(&scratch, &good, &place, 3, &["staging: the environment is frozen", "hint: "]);

    let none = format!("127.0.0.1:9/team/api-model@{}", Digest::of(b"none"));
    scratch.xtask(&["unfreeze", "staging", "--reason", "because"]).success();
    release(&scratch, Path::new(&none), &place, 1, &["127.0.0.1:9"]);
    release(
        &scratch,
        Path::new("api@latest"),
        &place,
        1,
        &["neither a folder nor an image", "hint: "],
    );
}
