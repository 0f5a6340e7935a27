//! What reports of deployments do.

use crate::scratch::{PASSED, Scratch, WRONG_MODEL, environment, event, pin, pin_in, says, work};
use contract::digest::Digest;
use gitops::event::Observation;
use gitops::verdict::Verdict;

#[test]
fn a_passed_smoke_test_marks_exactly_this_commit_as_verified() {
    let scratch = Scratch::new();
    let commit = scratch.release("staging", &pin("1.0.0"));
    let status = scratch.xtask(&["status"]);
    says(&status, 0, &["staging     1.0.0 (model", "not verified since"]);

    let passed = event("staging", &commit, PASSED);
    let marked = scratch.xtask_in("clone", &["deployed", "--event", "-"], &passed);
    says(&marked, 0, &["verified(staging)", "published"]);
    let mark = format!("refs/tags/verified/staging/{commit} {commit}");
    assert!(scratch.refs().lines().any(|line| line == mark), "{}", scratch.refs());
    assert!(scratch.xtask(&["status"]).success().stdout.contains("  verified\n"));

    let before = scratch.refs();
    let again = scratch.xtask_in("clone", &["deployed", "--event", "-"], &passed);
    says(&again, 0, &["nothing to do"]);
    assert_eq!(scratch.refs(), before);
}

#[test]
fn a_wrong_model_is_taken_back_and_quarantined_once_and_no_work_is_touched() {
    let scratch = Scratch::new();
    let good = scratch.verified("staging", &pin("1.0.0"));
    let pin_file = environment("staging").pin_file();
    let bytes = scratch.on_main(&pin_file);
    let bad = scratch.release("staging", &pin("1.1.0"));

    let edited = scratch.path("clone").join(&pin_file);
    fs_err::write(&edited, "half done").unwrap();
    fs_err::write(scratch.path("clone/notes.txt"), "mine").unwrap();
    fs_err::write(scratch.path("clone/staged.txt"), "mine").unwrap();
    scratch.git("clone", &["add", "staged.txt"]);
    scratch.git("clone", &["switch", "--quiet", "--create", "topic"]);
    let before = work(&scratch, &edited);

    let failed = event("staging", &bad, WRONG_MODEL);
    fs_err::write(scratch.path("event.json"), &failed).unwrap();
    let file = scratch.path("event.json").display().to_string();
    let handled = scratch.xtask(&["rollback", "--auto", "--event", &file]);
    says(&handled, 0, &["rollback(staging): 1.1.0", "Verdict: model-wrong", "seen by a test"]);

    assert_eq!(work(&scratch, &edited), before);
    assert_eq!(scratch.on_main(&pin_file), bytes);
    let message = scratch.git("remote", &["log", "-1", "--format=%B", "main"]);
    for line in [
        format!("This reverts commit {bad}."),
        format!("Rollback-Of: {bad}"),
        format!("Restores: {good}"),
    ] {
        assert!(message.contains(&line), "{line}: {message}");
    }
    let tag = format!("refs/tags/rollback/staging/{bad}");
    assert!(scratch.refs().contains(&tag), "{}", scratch.refs());
    let digest = Digest::of(b"1.1.0").to_string();
    let listed = scratch.xtask(&["quarantine", "list"]);
    says(&listed, 0, &[&digest, "staging", "model-wrong"]);

    let refs = scratch.refs();
    says(&scratch.report(&failed), 0, &["nothing to do", "already dealt with"]);
    assert_eq!(scratch.refs(), refs);
}

/// With 75, whoever handles the report tries it again; with 1 it would be given up.
#[test]
fn while_the_remote_is_away_a_report_waits_for_another_try() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    let failed = event("staging", &bad, WRONG_MODEL);
    fs_err::rename(scratch.path("remote"), scratch.path("away")).unwrap();
    let ended = scratch.report(&failed);
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("git ls-remote shows whether"), "{}", ended.stderr);
    fs_err::rename(scratch.path("away"), scratch.path("remote")).unwrap();
    says(&scratch.report(&failed), 0, &["rollback(staging): 1.1.0", "published"]);
}

#[test]
fn two_handlers_at_once_make_one_rollback() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    let failed = event("staging", &bad, WRONG_MODEL);
    let clones = ["clone", "second", "third"];
    clones[1..].iter().for_each(|name| scratch.add_clone(name));
    let handled = std::thread::scope(|scope| {
        let handlers = clones.map(|clone| {
            let (scratch, failed) = (&scratch, &failed);
            let handle =
                move || scratch.xtask_in(clone, &["rollback", "--auto", "--event", "-"], failed);
            scope.spawn(handle)
        });
        handlers.map(|handler| handler.join().unwrap())
    });
    // Within one second all may make the very same commit; pushing it again is no second rollback.
    for ended in handled {
        let ended = ended.success();
        let is_either =
            ended.stderr.contains("published") != ended.stdout.contains("nothing to do");
        assert!(is_either, "{ended:?}");
    }
    let rollbacks = scratch.titles().iter().filter(|title| title.starts_with("rollback(")).count();
    assert_eq!(rollbacks, 1, "{:?}", scratch.titles());
}

#[test]
fn a_failure_that_was_overtaken_changes_nothing() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    scratch.release("staging", &pin("1.1.1"));
    let refs = scratch.refs();
    says(&scratch.report(&event("staging", &bad, WRONG_MODEL)), 0, &["a newer change"]);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn what_a_machine_must_not_decide_is_a_report_and_a_status() {
    let scratch = Scratch::new();
    let first = scratch.release("staging", &pin("1.0.0"));
    let refs = scratch.refs();
    let failed = event("staging", &first, WRONG_MODEL);
    let words = ["# staging: no verified pin", "docs/runbooks.md#nothing-to-restore", "hint: "];
    says(&scratch.report(&failed), 4, &words);
    let unsure = event("staging", &first, Observation::Failed(Verdict::Undecided));
    says(&scratch.report(&unsure), 4, &["runbooks.md#no-verdict", "hint: "]);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn configuration_at_fault_becomes_a_branch_to_review() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let base = "kustomize/base/namespace.yaml";
    let text = scratch.on_main(base);
    let broken = scratch.commit("Break it", base, &format!("{text}# broken\n"));
    let main = scratch.git("remote", &["rev-parse", "main"]);
    let failed = event("staging", &broken, Observation::Failed(Verdict::RolloutFailed));
    says(&scratch.report(&failed), 4, &["revert(staging)", "runbooks.md#config-at-fault"]);
    assert_eq!(scratch.git("remote", &["rev-parse", "main"]), main);
    let proposal = format!("proposal/staging/{broken}:{base}");
    assert_eq!(scratch.git("remote", &["show", &proposal]), text.trim_end());
    says(&scratch.xtask(&["diff", "staging"]), 0, &["Break it", "+# broken"]);
}

#[test]
fn an_image_that_is_gone_or_cannot_be_asked_for_is_never_restored() {
    for (folder, code, word) in
        [("gone", 4, "runbooks.md#image-missing"), ("broken", 75, "answers 503")]
    {
        let scratch = Scratch::new();
        scratch.verified("staging", &pin_in(folder, "1.0.0"));
        let bad = scratch.release("staging", &pin("1.1.0"));
        let refs = scratch.refs();
        let failed = event("staging", &bad, WRONG_MODEL);
        says(&scratch.report(&failed), code, &[word, "hint: "]);
        assert_eq!(scratch.refs(), refs, "{folder}");
    }
}
