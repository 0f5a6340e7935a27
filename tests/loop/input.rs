//! Bad input: a clear error, a hint that can be run, a status by kind, and nothing half done.

use e2e::process::{command, run_into_a_full_device, run_without_a_reader};
use e2e::repo;

use crate::scratch::{Scratch, WRONG_MODEL, environment, event, pin, says};

#[test]
fn a_report_that_is_none_is_refused_with_what_is_wrong() {
    let scratch = Scratch::new();
    let commit = scratch.verified("staging", &pin("1.0.0"));
    let good = event("staging", &commit, WRONG_MODEL);
    let refs = scratch.refs();
    for (broken, word) in [
        (String::new(), "not an event"),
        ("{".to_owned(), "not an event"),
        (good.replace("\"schema\":1", "\"schema\":7"), "event schema 7"),
        (good.replace("staging", "prod"), "`local`, `production`, `staging`"),
        (good.replace(&commit, "HEAD"), "`HEAD` is not a full commit id"),
        (good.replace("seen by", &"x".repeat(2 << 20)), "larger than"),
    ] {
        assert_ne!(broken, good);
        says(&scratch.report(&broken), 2, &[word, "hint: "]);
    }
    says(
        &scratch.xtask(&["deployed", "--event", "/no/such/file"]),
        1,
        &["/no/such/file", "hint: "],
    );
    let elsewhere = event("staging", &"1".repeat(40), WRONG_MODEL);
    says(&scratch.report(&elsewhere), 4, &["not on main", "hint: cargo xtask history staging"]);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn an_unknown_environment_is_told_with_those_that_exist() {
    let scratch = Scratch::new();
    let refs = scratch.refs();
    for args in [
        &["history", "prod"][..],
        &["diff", "prod"],
        &["freeze", "prod", "--reason", "because"],
        &["unfreeze", "prod", "--reason", "because"],
        &["rollback", "prod", "--reason", "because"],
        &["promote", "--from", "prod", "--to", "staging"],
        &["promote", "--from", "staging", "--to", "../staging"],
    ] {
        let words = ["`local`, `production`, `staging`", "hint: cargo xtask status"];
        says(&scratch.xtask(args), 2, &words);
    }
    for args in [
        &["rollback"][..],
        &["rollback", "staging"],
        &["rollback", "staging", "--reason", ""],
        &["rollback", "--auto"],
        &["rollback", "staging", "--reason", "x", "--auto", "--event", "-"],
        &["quarantine", "lift", "sha256:abc", "--reason", "x"],
    ] {
        says(&scratch.xtask(args), 2, &["--help"]);
    }
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn a_pin_edited_by_hand_is_named_and_the_verified_one_can_be_restored() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let pin_file = environment("staging").pin_file();
    let text = scratch.on_main(&pin_file).replace("  digest:", "  # digest:");
    scratch.commit("Only for today", &pin_file, &text);
    says(&scratch.xtask(&["status"]), 0, &["unreadable", "edited by hand", "last verified 1.0.0"]);
    says(&scratch.xtask(&["diff", "staging"]), 0, &["edited by hand", "+  # digest:"]);
    let promote = scratch.xtask(&["promote", "--from", "staging", "--to", "production"]);
    says(&promote, 3, &["its pin cannot be read", "hint: cargo xtask diff staging"]);
    says(&scratch.xtask(&["rollback", "staging", "--reason", "because"]), 0, &["-> 1.0.0"]);
    assert_eq!(scratch.on_main(&pin_file), pin("1.0.0").to_yaml());
}

#[test]
fn holds_that_nobody_can_read_hold_everything() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    scratch.commit("Freeze by hand", "kustomize/holds.yaml", "frozne: [staging]\n");
    let refs = scratch.refs();
    let hint = "hint: git log -p -- kustomize/holds.yaml";
    says(&scratch.xtask(&["status"]), 5, &["staging     1.0.0", "cannot be read", hint]);
    says(&scratch.xtask(&["quarantine", "list"]), 3, &["cannot be read", hint]);
    let promote = scratch.xtask(&["promote", "--from", "staging", "--to", "production"]);
    says(&promote, 3, &["cannot be read", hint]);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn a_remote_that_is_not_there_and_history_that_is_cut_off_are_said() {
    let scratch = Scratch::new();
    says(
        &scratch.xtask(&["status", "--remote", "nowhere"]),
        1,
        &["nowhere", "hint: git ls-remote"],
    );
    let url = format!("file://{}", scratch.path("remote").display());
    scratch.commit("One more", "README.md", "more\n");
    scratch.git("", &["clone", "--quiet", "--depth", "1", &url, "shallow"]);
    let shallow = scratch.xtask_in("shallow", &["status"], "");
    says(&shallow, 1, &["cut off", "hint: git fetch --unshallow"]);
}

#[test]
fn what_cannot_be_told_fails_the_command_and_a_reader_who_left_does_not() {
    let scratch = Scratch::new();
    let status = || {
        let mut xtask = command(repo::xtask(), &scratch.path("clone"));
        xtask.arg("status");
        xtask
    };
    let unwritable = run_into_a_full_device(&mut status());
    assert_eq!(unwritable.code, Some(1), "{}", unwritable.stderr);
    assert!(unwritable.stderr.contains("cannot be written to stdout"), "{}", unwritable.stderr);
    let unread = run_without_a_reader(&mut status());
    assert_eq!(unread.code, Some(0), "{}", unread.stderr);
}
