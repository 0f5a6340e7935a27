//! `hold`: what a person on call says without a checkout.

use serde_json::json;

use crate::expressions::Expressions;
use crate::runner::{Ended, Runner, workflow};
use crate::scratch::{Scratch, WRONG_MODEL, environment, event, pin};

fn hold(scratch: &Scratch, command: &str, about: (&str, &str), reason: &str) -> Ended {
    let (environment, digest) = about;
    let inputs = [
        ("command", command),
        ("environment", environment),
        ("digest", digest),
        ("reason", reason),
    ];
    Runner::new(scratch).run("hold", &inputs)
}

#[test]
fn what_may_not_move_or_run_is_said_by_the_bot_and_taken_back() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin("1.0.0"));
    let reason = "slow; $(touch owned) ' \" --dry-run";
    let frozen = hold(&scratch, "freeze", ("staging", ""), reason);
    frozen.succeeds();
    assert_eq!(frozen.jobs, ["approve", "hold"]);
    let said = scratch.git("remote", &["log", "-1", "--format=%an %s%n%B", "main"]);
    assert!(
        said.starts_with("mnist-api-gitops freeze(staging)") && said.contains(reason),
        "{said}"
    );
    assert!(!scratch.path("clone/owned").exists());
    hold(&scratch, "unfreeze", ("staging", ""), "it is fast again").succeeds();
    assert!(scratch.titles()[0].starts_with("unfreeze(staging)"), "{:?}", scratch.titles());

    let bad = pin("1.1.0");
    let release = scratch.release("staging", &bad);
    scratch.report(&event("staging", &release, WRONG_MODEL)).success();
    let digest = bad.image.digest().to_string();
    let holds = || scratch.on_main("kustomize/holds.yaml");
    assert!(holds().contains(&digest), "{}", holds());
    hold(&scratch, "quarantine lift", ("staging", &digest), "the probes were wrong").succeeds();
    assert!(!holds().contains(&digest), "{}", holds());
    assert_eq!(scratch.on_main(&environment("staging").pin_file()), pin("1.0.0").to_yaml());
}

#[test]
fn nothing_is_said_without_a_reason_or_of_what_is_not_there() {
    let scratch = Scratch::new();
    let refs = scratch.refs();
    for (command, about, reason) in [
        ("freeze", ("staging", ""), ""),
        ("quarantine lift", ("staging", ""), "no digest"),
        ("quarantine lift", ("staging", "$(touch owned)"), "no digest"),
    ] {
        let ended = hold(&scratch, command, about, reason);
        assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    }
    assert_eq!(scratch.refs(), refs);
    assert!(!scratch.path("clone/owned").exists());
    assert_eq!(workflow("hold")["on"]["workflow_dispatch"]["inputs"]["reason"]["required"], true);
}

/// Those that may have reviewers; `gitops` has none.
#[test]
fn a_freeze_waits_for_nobody_and_its_end_for_whom_a_release_waits() {
    let asked = |command: &str, environment: &str| {
        let approve = workflow("hold")["jobs"]["approve"]["environment"].clone();
        let inputs = json!({ "command": command, "environment": environment });
        Expressions(json!({ "inputs": inputs })).expand(approve.as_str().unwrap()).trim().to_owned()
    };
    for (command, environment, wanted) in [
        ("freeze", "production", "gitops"),
        ("unfreeze", "production", "production"),
        ("unfreeze", "staging", "staging"),
        ("quarantine lift", "staging", "production"),
    ] {
        assert_eq!(asked(command, environment), wanted, "{command} {environment}");
    }
}
