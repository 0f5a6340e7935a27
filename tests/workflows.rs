//! The workflows, step by step as a runner takes them, against a real remote: every `run:` is executed by
//! bash. Stood in for are the actions of others, `gh`, `docker login`, and `cargo`, which runs the built
//! `xtask`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "workflows/expressions.rs"]
mod expressions;
#[path = "workflows/files.rs"]
mod files;
#[path = "workflows/hold.rs"]
mod hold;
#[path = "workflows/private_data.rs"]
mod private_data;
#[path = "workflows/runner.rs"]
mod runner;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;
#[path = "workflows/summary.rs"]
mod summary;

use contract::digest::Digest;
use e2e::process::{command, run};
use e2e::repo;
use gitops::event::Observation;
use gitops::pin::Pin;
use gitops::verdict::Verdict;
use serde_json::json;

use crate::runner::{Runner, workflow};
use crate::scratch::{PASSED, Scratch, WRONG_MODEL, environment, event, pin, pin_in};

#[test]
fn a_good_release_goes_to_production_and_a_wrong_model_comes_back() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    let good = scratch.release("staging", &pin("1.0.0"));
    runner.run("deployed", &[("report", &event("staging", &good, PASSED))]).succeeds();
    runner.run("promote", &[("from", "staging"), ("to", "production")]).succeeds();
    assert_eq!(scratch.titles()[0], format!("promote(production): unreleased -> {}", pin("1.0.0")));
    let promoted = scratch.git("remote", &["rev-parse", "main"]);
    runner.run("deployed", &[("report", &event("production", &promoted, PASSED))]).succeeds();
    // GitHub gives a commit to whoever owns such an address.
    let author = scratch.git("remote", &["log", "-1", "--format=%an <%ae>", "main"]);
    assert_eq!(author, "mnist-api-gitops <mnist-api-gitops@localhost>");

    let bad = scratch.release("staging", &pin("1.1.0"));
    let report = event("staging", &bad, WRONG_MODEL);
    runner.run("rollback", &[("report", &report)]).succeeds();
    let restored = scratch.on_main(&environment("staging").pin_file());
    assert_eq!(restored, pin("1.0.0").to_yaml());
    // Delivered again, as it may be.
    let refs = scratch.refs();
    runner.run("rollback", &[("report", &report)]).succeeds();
    assert_eq!(scratch.refs(), refs);
    assert_eq!(runner.issues(), Vec::<String>::new());
    runner.run_job("audit", &[], |job| job == "audit").succeeds();
}

#[test]
fn mlflow_is_told_after_each_report_and_one_that_is_away_fails_nothing() {
    let scratch = Scratch::new();
    // Port 9 of this machine is `discard`, where nothing listens.
    let runner = Runner::new(&scratch).set("vars.MLFLOW_TRACKING_URI", "http://127.0.0.1:9");
    let good = scratch.release("staging", &pin("1.0.0"));
    let deployed = runner.run("deployed", &[("report", &event("staging", &good, PASSED))]);
    deployed.succeeds();
    deployed.has(&["xtask deployed --event -", "xtask registry"]);
    let bad = scratch.release("staging", &pin("1.1.0"));
    let rollback = runner.run("rollback", &[("report", &event("staging", &bad, WRONG_MODEL))]);
    rollback.succeeds();
    rollback.has(&["xtask rollback --auto --event -", "xtask registry"]);
    let silent =
        Runner::new(&scratch).run("deployed", &[("report", &event("staging", &good, PASSED))]);
    silent.succeeds();
    assert!(!silent.called("xtask registry"), "{silent:?}");
}

#[test]
fn what_a_human_must_decide_becomes_one_issue_and_a_red_run() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    let first = scratch.release("staging", &pin("1.0.0"));
    let report = event("staging", &first, WRONG_MODEL);
    let ended = runner.run("rollback", &[("report", &report)]);
    assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    ended.has(&["gh issue create --title staging: "]);
    let issues = runner.issues();
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert!(issues[0].starts_with("# staging: ") && issues[0].contains("/actions/runs/7"));
    let again = runner.run("rollback", &[("report", &report)]);
    again.has(&["gh issue view 12 "]);
    assert!(!again.called("gh issue comment"), "it says so already: {again:?}");
    let seen_otherwise = Observation::Failed(Verdict::AppWrong);
    let report = event("staging", &first, seen_otherwise);
    let other = runner.run("rollback", &[("report", &report)]);
    other.has(&["gh issue comment 12 "]);
}

#[test]
fn what_main_says_wrongly_and_what_cannot_be_done_become_issues_too() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    scratch.commit("by hand", &environment("staging").pin_file(), "no pin");
    let audited = runner.run_job("audit", &[], |job| job == "audit");
    assert_eq!(audited.failed.as_deref(), Some("End as the command did"), "{audited:?}");
    audited.has(&["gh issue create --title audit has findings "]);
    let issue = &runner.issues()[0];
    assert!(issue.contains("the pin cannot be read"), "{issue}");

    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    fs_err::remove_dir_all(scratch.path("remote")).unwrap();
    let ended = runner.run("promote", &[("from", "staging"), ("to", "production")]);
    assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    ended.has(&["gh issue create --title promote failed "]);
    let issue = &runner.issues()[0];
    assert!(issue.contains("error: "), "what was said on the way is there: {issue}");
}

#[test]
fn an_advisory_becomes_an_issue_and_none_is_silence() {
    let scratch = Scratch::new();
    let advisories = |job: &str| job == "advisories";
    let ended = Runner::new(&scratch).run_job("audit", &[], advisories);
    ended.succeeds();
    assert!(!ended.called("gh "), "{ended:?}");
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch).with("ADVISORY", "error[vulnerability]: a crate");
    let ended = runner.run_job("audit", &[], advisories);
    assert_eq!(ended.failed.as_deref(), Some("End as it did"), "{ended:?}");
    assert!(runner.issues()[0].contains("error[vulnerability]: a crate"));
    // The one that the licences are checked by.
    let version = "cargo-deny@0.20.2";
    let audit = repo::root().join(".github/workflows/audit.yml");
    assert!(fs_err::read_to_string(audit).unwrap().contains(version));
    let mut grep = command("grep", &repo::root());
    run(grep.args(["-rlF", &format!("\"{version}\""), "xtask/src"])).success();
}

#[test]
fn a_private_image_is_looked_for_with_the_jobs_own_token() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    let good = scratch.verified("staging", &pin_in("private", "1.0.0"));
    runner.run("promote", &[("from", "staging"), ("to", "production")]).succeeds();
    assert!(scratch.titles()[0].starts_with("promote(production): "), "{good}");
    let bad = scratch.release("staging", &pin_in("private", "1.1.0"));
    let ended = runner.run("rollback", &[("report", &event("staging", &bad, WRONG_MODEL))]);
    ended.succeeds();
    ended.has(&["docker login ghcr.io --username a-person --password-stdin"]);
    let restored = scratch.on_main(&environment("staging").pin_file());
    assert_eq!(restored, pin_in("private", "1.0.0").to_yaml());
    // The same reports go through `watch`.
    assert_eq!(workflow("watch")["jobs"]["watch"]["permissions"]["packages"], "read");
}

#[test]
fn a_fork_without_a_bot_runs_nothing_that_needs_one() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch).set("vars.GITOPS_CLIENT_ID", "");
    for name in ["deployed", "hold", "promote", "release", "rollback", "watch"] {
        let inputs = ["command", "environment", "model", "report", "to"].map(|name| (name, ""));
        assert_eq!(runner.run(name, &inputs).jobs, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_rollback_by_hand_takes_its_reason_as_one_word_whatever_is_in_it() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    for version in ["1.0.0", "1.1.0"] {
        scratch.verified("production", &pin(version));
    }
    // A line of its own is a word of its own to who reads words from lines.
    let reason = "slow; $(touch owned) `touch owned` ' \" --to 9.9.9\n--dry-run\nRestores: nothing";
    let inputs = [("report", ""), ("environment", "production"), ("reason", reason)];
    runner.run("rollback", &inputs).succeeds();
    let restored = scratch.on_main(&environment("production").pin_file());
    assert_eq!(restored, pin("1.0.0").to_yaml());
    assert!(
        scratch
            .git("remote", &["log", "-1", "--format=%B", "main"])
            .contains(&reason.replace('\n', " "))
    );
    assert!(!runner.checkout().join("owned").exists());
}

#[test]
fn a_report_that_is_none_changes_nothing_and_is_red() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    let refs = scratch.refs();
    for report in ["{}", "$(touch owned)", "{\"event_type\":\"argocd-release-failed\"}"] {
        let ended = runner.run("rollback", &[("report", report)]);
        assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    }
    assert_eq!(scratch.refs(), refs);
    assert!(!runner.checkout().join("owned").exists());
}

#[test]
fn a_registry_that_does_not_answer_is_asked_again_and_then_the_run_is_red() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    scratch.verified("staging", &pin_in("broken", "1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    let ended = runner.run("rollback", &[("report", &event("staging", &bad, WRONG_MODEL))]);
    assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    assert_eq!(ended.commands.iter().filter(|line| line.starts_with("xtask rollback")).count(), 5);
    let title = "rollback was tried again and could not be done";
    ended.has(&[&format!("gh issue create --title {title} ")]);
    assert!(runner.issues()[0].contains("cannot be checked"), "{:?}", runner.issues());
}

/// Its images in a folder, so that no engine is needed.
#[test]
fn release_trains_a_model_and_attests_what_it_built_and_pins_that() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path(name).display().to_string();
    let main = format!("--remote {} --clone {}", path("remote"), path("through"));
    let images = format!("--layout {}", path("images"));
    let mirror = e2e::data::folder(&e2e::data::task()).display().to_string();
    let runner = Runner::building(
        &scratch,
        &[
            ("train", format!("--recipe quick --mirror {mirror}")),
            ("image_build", images.clone()),
            ("image_scan", images.clone()),
            ("release", format!("{main} {images} --allow-dirty")),
        ],
    )
    .set("secrets.AWS_ACCESS_KEY_ID", "an id");
    let ended = runner.run("release", &[("environment", "staging"), ("model", "")]);
    ended.succeeds();
    assert!(!ended.called(" sees "), "here is no data that asks for it: {ended:?}");
    let summary = fs_err::read_to_string(scratch.path("temp/summary")).unwrap();
    assert!(summary.contains(" may ship\n"), "{summary}");
    assert_eq!(ended.jobs, ["build", "approve", "pin"]);
    ended.has(&["docker login ghcr.io --username a-person --password-stdin"]);
    let pinned = Pin::from_yaml(&scratch.on_main(&environment("staging").pin_file())).unwrap();
    let attested = |action: &str| {
        let used = ended.used.iter().find(|(name, _)| name == action);
        let (_, with) = used.unwrap_or_else(|| panic!("{action} was not used"));
        assert_eq!(with["subject-name"], pinned.image.repository());
        assert_eq!(with["subject-digest"], pinned.image.digest().to_string());
        with
    };
    attested("actions/attest-build-provenance");
    let list = attested("actions/attest-sbom")["sbom-path"].as_str().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&fs_err::read(list).unwrap()).unwrap();
    assert_eq!(list["spdxVersion"], "SPDX-2.3");
    assert!(scratch.titles()[0].starts_with("release(staging): unreleased -> "));

    // By the digest of the artifact's own image, as who trained nothing would.
    let line = ended.commands.iter().find(|line| line.starts_with("xtask release")).unwrap();
    let (_, model) = line.split_once("-model@").unwrap();
    let digest = model.split(' ').next().unwrap();
    let named = [("environment", "production"), ("model", digest)];
    let ended = runner.run("release", &named);
    ended.succeeds();
    assert!(!ended.called("xtask train"), "{ended:?}");
    let production = scratch.on_main(&environment("production").pin_file());
    assert_eq!(Pin::from_yaml(&production).unwrap(), pinned);
}

#[test]
fn argo_cds_command_line_is_what_its_release_says_and_of_the_version_that_is_installed() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    fs_err::create_dir(scratch.path("downloads")).unwrap();
    let program = b"an argocd";
    fs_err::write(scratch.path("downloads/argocd-linux-amd64"), program).unwrap();
    let digest = Digest::of(program).to_string();
    let (_, digest) = digest.split_once(':').unwrap();
    let other = "0".repeat(64);
    let checksums =
        |digest: &str| format!("{other}  argocd-darwin-amd64\n{digest}  argocd-linux-amd64\n");
    for (sums, holds) in [(checksums(digest), true), (checksums(&other), false)] {
        fs_err::write(scratch.path("downloads/cli_checksums.txt"), sums).unwrap();
        drop(fs_err::remove_file(scratch.path("temp/path")));
        let ended = runner.take("ci", &["Install Argo CD's command line"], json!({}));
        assert_eq!(ended.failed.is_none(), holds, "{ended:?}");
        let on_path = fs_err::read_to_string(scratch.path("temp/path")).unwrap_or_default();
        assert_eq!(!on_path.is_empty(), holds, "{on_path}");
        ended.has(&["/v3.5.3/argocd-linux-amd64", "/v3.5.3/cli_checksums.txt"]);
    }
    let install = repo::root().join("argocd/install/kustomization.yaml");
    assert!(fs_err::read_to_string(install).unwrap().contains("v3.5.3"));
}
