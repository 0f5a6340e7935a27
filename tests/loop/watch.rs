//! The dead man's switch: what it waits for, and what it does when nothing comes.

use std::time::Duration;

use crate::scratch::{PASSED, Scratch, WRONG_MODEL, event, pin, says};

const AT_ONCE: [&str; 6] = ["watch", "staging", "--deadline", "300ms", "--poll", "100ms"];
const PATIENTLY: [&str; 6] = ["watch", "staging", "--deadline", "60s", "--poll", "50ms"];

#[test]
fn a_verdict_that_is_there_ends_it() {
    let scratch = Scratch::new();
    says(&scratch.xtask(&PATIENTLY), 0, &["nothing was released yet"]);
    scratch.verified("staging", &pin("1.0.0"));
    says(&scratch.xtask(&PATIENTLY), 0, &["staging: 1.0.0", "is verified"]);
    let unknown = scratch.xtask(&["watch", "stage"]);
    says(&unknown, 2, &["no environment", "hint: cargo xtask status"]);
    for wrong in ["0s", "-1s", "soon"] {
        let ended = scratch.xtask(&["watch", "staging", &format!("--deadline={wrong}")]);
        says(&ended, 2, &["--deadline"]);
    }
    says(&scratch.xtask(&["watch", "staging", "--remote", "nowhere"]), 1, &["nowhere", "hint: "]);
}

#[test]
fn without_a_verdict_a_human_is_told_and_as_often_as_it_is_asked() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let silent = scratch.release("staging", &pin("1.1.0"));
    let refs = scratch.refs();
    for _ in 0..2 {
        let paged = scratch.xtask(&AT_ONCE);
        says(
            &paged,
            4,
            &["waiting for a verdict", "# staging: ", &silent, "no verdict on", "hint: "],
        );
        assert!(paged.stdout.contains("docs/runbooks.md#no-verdict"), "{}", paged.stdout);
        assert_eq!(paged.stderr.matches("waiting for").count(), 1, "{}", paged.stderr);
    }
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn what_comes_meanwhile_is_followed() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| scratch.xtask_in("human", &PATIENTLY, ""));
        std::thread::sleep(Duration::from_millis(300));
        scratch.report(&event("staging", &bad, WRONG_MODEL)).success();
        std::thread::sleep(Duration::from_millis(300));
        let rollback = scratch.git("remote", &["rev-parse", "main"]);
        scratch.report(&event("staging", &rollback, PASSED)).success();
        let ended = watch.join().unwrap();
        says(&ended, 0, &["waiting for a verdict", "rollback(staging)", "1.0.0", "is verified"]);
    });
}

#[test]
fn a_commit_from_the_future_is_not_waited_for_until_then() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let later = scratch.release_dated("staging", &pin("1.1.0"), "@4102444700 +0000");
    says(&scratch.xtask(&AT_ONCE), 4, &[&later]);
}

#[test]
fn a_frozen_environment_and_a_dry_run_change_nothing() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    scratch.release("staging", &pin("1.1.0"));
    let refs = scratch.refs();
    says(&scratch.xtask(&[&AT_ONCE[..], &["--dry-run"]].concat()), 4, &["no verdict on"]);
    assert_eq!(scratch.refs(), refs);
    scratch.xtask(&["freeze", "staging", "--reason", "because"]).success();
    let refs = scratch.refs();
    says(&scratch.xtask(&AT_ONCE), 4, &["the environment is frozen"]);
    assert_eq!(scratch.refs(), refs);
}
