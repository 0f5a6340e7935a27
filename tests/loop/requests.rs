//! What people and pipelines ask for.

use contract::digest::Digest;
use serde_json::Value;

use crate::scratch::{Scratch, WRONG_MODEL, environment, event, pin, says};

const WHY: [&str; 2] = ["--reason", "because"];

#[test]
fn a_fresh_fork_is_unreleased_everywhere_and_says_so() {
    let scratch = Scratch::new();
    let refs = scratch.refs();
    let status = scratch.xtask(&["status"]).success().stdout;
    assert_eq!(status, "local       unreleased\nproduction  unreleased\nstaging     unreleased\n");
    says(&scratch.xtask(&["diff", "staging"]), 0, &["nothing was ever verified"]);
    says(&scratch.xtask(&["quarantine", "list"]), 0, &["nothing is quarantined"]);
    let promote = scratch.xtask(&["promote", "--from", "staging", "--to", "production"]);
    says(&promote, 3, &["nothing was ever released there", "hint: cargo xtask diff staging"]);
    let rollback = scratch.xtask(&["rollback", "staging", "--reason", "because"]);
    says(&rollback, 3, &["nothing was ever released there", "hint: "]);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn only_what_is_verified_is_promoted_and_asking_twice_changes_nothing_more() {
    let scratch = Scratch::new();
    let promote = ["promote", "--from", "staging", "--to", "production"];
    let commit = scratch.release("staging", &pin("1.0.0"));
    says(&scratch.xtask(&promote), 3, &["staging: ", "not verified", "hint: cargo xtask status"]);
    scratch.report(&event("staging", &commit, crate::scratch::PASSED)).success();
    says(&scratch.xtask(&promote), 0, &["promote(production): unreleased -> 1.0.0"]);
    assert_eq!(scratch.on_main(&environment("production").pin_file()), pin("1.0.0").to_yaml());

    let refs = scratch.refs();
    says(&scratch.xtask(&promote), 0, &["nothing to do"]);
    assert_eq!(scratch.refs(), refs);
    scratch.verified("staging", &pin("1.1.0"));
    says(&scratch.xtask(&promote), 3, &["production: ", "not verified yet", "hint: "]);
}

#[test]
fn a_person_goes_back_to_any_verified_version_and_to_no_other() {
    let scratch = Scratch::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        scratch.verified("staging", &pin(version));
    }
    scratch.release("staging", &pin("1.3.0"));
    let refs = scratch.refs();
    let to = |version: &str| {
        scratch.xtask(&["rollback", "staging", "--reason", "because", "--to", version])
    };
    says(&to("9.9.9"), 3, &["no verified pin", "hint: cargo xtask history staging"]);
    says(&to("1.3.0"), 3, &["no verified pin", "hint: "]);
    assert_eq!(scratch.refs(), refs);
    says(&to("1.0.0"), 0, &["-> 1.0.0", "Reason: because"]);
    says(&scratch.xtask(&["rollback", "staging", WHY[0], WHY[1]]), 0, &["-> 1.2.0"]);
}

#[test]
fn a_frozen_environment_is_left_to_people() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let promote = ["promote", "--from", "staging", "--to", "production"];
    says(&scratch.xtask(&["freeze", "production", WHY[0], WHY[1]]), 0, &["freeze(production)"]);
    says(&scratch.xtask(&["freeze", "production", WHY[0], WHY[1]]), 0, &["nothing to do"]);
    says(&scratch.xtask(&["status"]), 0, &["frozen since", "because"]);
    says(&scratch.xtask(&promote), 3, &["the environment is frozen", "hint: "]);
    says(&scratch.xtask(&["unfreeze", "production", WHY[0], WHY[1]]), 0, &["unfreeze(production)"]);
    says(&scratch.xtask(&promote), 0, &["promote(production)"]);
}

#[test]
fn a_quarantined_image_is_promoted_nowhere_until_it_is_lifted() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    scratch.report(&event("staging", &bad, WRONG_MODEL)).success();
    scratch.verified("staging", &pin("1.1.0"));
    says(&scratch.xtask(&["status"]), 0, &["quarantined: model-wrong"]);
    let promote = ["promote", "--from", "staging", "--to", "production"];
    says(&scratch.xtask(&promote), 3, &["quarantined", "hint: cargo xtask quarantine list"]);
    let digest = Digest::of(b"1.1.0").to_string();
    let lift = ["quarantine", "lift", &digest, "--reason", "the probes were wrong"];
    says(&scratch.xtask(&lift), 0, &["lift quarantine", "Reason: the probes were wrong"]);
    says(&scratch.xtask(&lift), 0, &["nothing to do"]);
    says(&scratch.xtask(&promote), 0, &["-> 1.1.0"]);
}

#[test]
fn history_tells_what_became_of_each_change() {
    let scratch = Scratch::new();
    let good = scratch.verified("staging", &pin("1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    scratch.report(&event("staging", &bad, WRONG_MODEL)).success();
    let json = scratch.xtask(&["history", "staging", "--json"]).success().stdout;
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["rollback", "release", "release", "foreign"]);
    let [rollback, failed, first, _] = rows.as_slice() else { panic!("{json}") };
    assert_eq!((&failed["commit"], &failed["rolled_back"]), (&bad.into(), &true.into()));
    assert_eq!((&first["commit"], &first["verified"]), (&good.into(), &true.into()));
    assert_eq!(rollback["verdict"], "model-wrong");
    assert_eq!(rollback["image"], pin("1.0.0").image.to_string());
    let text = scratch.xtask(&["history", "staging", "--limit", "2"]).success().stdout;
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    scratch.verified("staging", &pin("1.1.0"));
    let bad = scratch.release("staging", &pin("1.2.0"));
    let digest = Digest::of(b"1.2.0").to_string();
    let failed = event("staging", &bad, WRONG_MODEL);
    let refs = scratch.refs();
    let dry = |args: &[&str], word: &str| {
        let args = [args, &["--dry-run"]].concat();
        let ended = scratch.xtask_in("clone", &args, &failed);
        says(&ended, 0, &[word, "nothing was changed"]);
        assert!(ended.stdout.contains(word), "the plan is data: {ended:?}");
        assert_eq!(scratch.refs(), refs, "{args:?}");
    };
    dry(&["rollback", "staging", "--reason", "because"], "rollback(staging): 1.2.0");
    dry(&["rollback", "--auto", "--event", "-"], "is quarantined.");
    dry(&["deployed", "--event", "-"], "is quarantined.");
    dry(&["freeze", "staging", "--reason", "because"], "write kustomize/holds.yaml");

    let lifted = scratch.xtask(&["quarantine", "lift", &digest, "--reason", "x", "--dry-run"]);
    says(&lifted, 0, &["nothing to do"]);
    says(&scratch.report(&failed), 0, &["published"]);
}

#[test]
fn an_audit_is_quiet_about_the_loop_and_tells_what_was_forged() {
    let scratch = Scratch::new();
    let good = scratch.verified("staging", &pin("1.0.0"));
    scratch.xtask(&["promote", "--from", "staging", "--to", "production"]).success();
    let bad = scratch.release("staging", &pin("1.1.0"));
    scratch.report(&event("staging", &bad, WRONG_MODEL)).success();
    let audit = scratch.xtask(&["audit"]);
    says(&audit, 0, &["0 findings, 0 notes"]);

    let pin_file = environment("production").pin_file();
    scratch.commit("Quickly", &pin_file, &pin("1.2.0").to_yaml());
    says(&scratch.xtask(&["audit"]), 0, &["note: production", "changed by hand"]);

    let forged = |kind: &str, trailers: &str| format!("x\n\nChange-Kind: {kind}\n{trailers}");
    let source = forged("promotion", &format!("Verified-In: staging@{good}"));
    scratch.commit(&source, &pin_file, &pin("1.3.0").to_yaml());
    let source = forged("promotion", &format!("Verified-In: staging@{bad}"));
    scratch.commit(&source, &pin_file, &pin("1.1.0").to_yaml());
    let undo = forged("rollback", &format!("Rollback-Of: {bad}\nRestores: {good}"));
    scratch.commit(&undo, &environment("staging").pin_file(), &pin("1.4.0").to_yaml());
    let tag = format!("rollback/staging/{good}");
    scratch.git("human", &["tag", &tag]);
    scratch.git("human", &["push", "--quiet", "--tags"]);
    let audit = scratch.xtask(&["audit"]);
    let words = [
        &format!("it does not have the pin of staging@{good}"),
        &format!("its source staging@{bad} is not verified"),
        &format!("it does not have the pin of {}", &good[..10]),
        "undid the same change before",
        "a quarantined image is pinned",
        &format!("rollback/staging/{}: points to what is no rollback", &good[..10]),
    ];
    says(&audit, 5, &words);
    assert!(audit.stderr.contains("hint: git show"), "{}", audit.stderr);
}
