//! The workflows, step by step as a runner takes them, against a real remote: every `run:` is executed by
//! bash. Stood in for are the actions of others, `gh`, `docker login`, and `cargo`, which runs the built
//! `xtask`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "workflows/runner.rs"]
mod runner;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;

use std::collections::BTreeSet;

use e2e::repo;
use gitops::pin::Pin;
use serde_json::Value;

use crate::runner::{Runner, workflow};
use crate::scratch::{PASSED, Scratch, WRONG_MODEL, environment, event, pin};

const LOOP: [&str; 7] = ["audit", "deployed", "promote", "release", "retrain", "rollback", "watch"];

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
    assert_eq!(scratch.git("remote", &["log", "-1", "--format=%an", "main"]), "mnist-api-gitops");

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
    runner.run("audit", &[]).succeeds();
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
    again.has(&["gh issue comment 12 "]);
}

#[test]
fn a_rollback_by_hand_takes_its_reason_as_one_word_whatever_is_in_it() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    for version in ["1.0.0", "1.1.0"] {
        scratch.verified("production", &pin(version));
    }
    let reason = "slow; $(touch owned) `touch owned` ' \" --to 9.9.9";
    let inputs = [("report", ""), ("environment", "production"), ("reason", reason)];
    runner.run("rollback", &inputs).succeeds();
    let restored = scratch.on_main(&environment("production").pin_file());
    assert_eq!(restored, pin("1.0.0").to_yaml());
    assert!(scratch.git("remote", &["log", "-1", "--format=%B", "main"]).contains(reason));
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
    scratch.verified("staging", &scratch::pin_in("broken", "1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    let ended = runner.run("rollback", &[("report", &event("staging", &bad, WRONG_MODEL))]);
    assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    assert_eq!(ended.commands.iter().filter(|line| line.starts_with("xtask rollback")).count(), 5);
}

/// Its images in a folder, so that no engine is needed.
#[test]
fn release_trains_a_model_and_pins_it_and_attests_what_is_pinned() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path(name).display().to_string();
    let main = format!("--remote {} --clone {}", path("remote"), path("through"));
    let mirror = e2e::data::folder(&e2e::data::task()).display().to_string();
    let runner = Runner::building(
        &scratch,
        &[
            ("train", format!("--recipe quick --mirror {mirror}")),
            ("release", format!("{main} --layout {} --allow-dirty", path("images"))),
            ("history", main),
            // Advisories come from the network.
            ("image", format!("--layout {} --offline", path("images"))),
        ],
    );
    let ended = runner.run("release", &[("environment", "staging"), ("model", "")]);
    ended.succeeds();
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
    let list: Value = serde_json::from_slice(&fs_err::read(list).unwrap()).unwrap();
    assert_eq!(list["spdxVersion"], "SPDX-2.3");
    ended.has(&[&format!("xtask image scan {}", pinned.image)]);
    assert!(scratch.titles()[0].starts_with("release(staging): unreleased -> "));
}

#[test]
fn actions_are_pinned_to_commits_and_the_version_stands_beside() {
    let mut seen = 0;
    for (name, text) in files() {
        for line in text.lines() {
            let Some(uses) = line.trim_start_matches([' ', '-']).strip_prefix("uses: ") else {
                continue;
            };
            if uses.starts_with("./") {
                continue;
            }
            let (action, version) =
                uses.split_once(" # v").unwrap_or_else(|| panic!("{name}: {uses}"));
            let (_, commit) = action.split_once('@').unwrap();
            let hex = |byte: u8| b"0123456789abcdef".contains(&byte);
            assert!(commit.len() == 40 && commit.bytes().all(hex), "{uses}");
            assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{uses}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn no_text_that_is_executed_holds_what_somebody_may_have_typed() {
    for (name, text) in files() {
        let file: Value = serde_yaml::from_str(&text).unwrap();
        let mut runs = Vec::new();
        collect(&file, &mut runs);
        for run in runs {
            assert!(!run.contains("${{"), "{name}: {run}");
        }
    }
}

fn collect<'a>(value: &'a Value, runs: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            runs.extend(fields.get("run").and_then(Value::as_str));
            fields.values().for_each(|field| collect(field, runs));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, runs)),
        _ => {}
    }
}

#[test]
fn a_token_may_do_what_its_job_needs_and_rollbacks_wait_for_nobody() {
    let mut groups = BTreeSet::new();
    for name in LOOP {
        let file = workflow(name);
        assert_eq!(file["permissions"], serde_json::json!({}), "{name}");
        for (job, definition) in file["jobs"].as_object().unwrap() {
            let granted = definition["permissions"].as_object().unwrap();
            for (scope, access) in granted {
                let known = match scope.as_str() {
                    "contents" => access == "read",
                    "issues" => access == "write",
                    "packages" | "id-token" | "attestations" => {
                        name == "release" || name == "retrain"
                    }
                    _ => false,
                };
                assert!(known, "{name}.{job}: {scope}: {access}");
            }
        }
        let group = file["concurrency"]["group"].as_str().unwrap_or_default();
        groups.insert(group.split(['-', '$']).next().unwrap().to_owned());
        assert_ne!(file["concurrency"]["cancel-in-progress"], true, "{name}");
    }
    assert!(groups.contains("rollback") && groups.contains("release"), "{groups:?}");
}

#[test]
fn environments_to_choose_from_are_those_that_argo_cd_syncs() {
    let applications = fs_err::read_dir(repo::root().join("argocd/apps")).unwrap();
    let synced: BTreeSet<String> = applications
        .map(|entry| fs_err::read_to_string(entry.unwrap().path()).unwrap())
        .filter_map(|text| {
            let application: Value = serde_yaml::from_str(&text).unwrap();
            application["metadata"]["labels"]["env"].as_str().map(str::to_owned)
        })
        .collect();
    assert!(!synced.is_empty());
    let named = |value: &Value| -> BTreeSet<String> {
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
    };
    for (name, input) in [
        ("release", "environment"),
        ("promote", "from"),
        ("promote", "to"),
        ("rollback", "environment"),
    ] {
        let options = &workflow(name)["on"]["workflow_dispatch"]["inputs"][input]["options"];
        assert_eq!(named(options), synced, "{name}: {input}");
    }
    let watched = &workflow("watch")["jobs"]["watch"]["strategy"]["matrix"]["environment"];
    assert_eq!(named(watched), synced);
}

/// Every file that a runner reads, by its path.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in [".github/workflows", ".github/actions/loop"] {
        for entry in fs_err::read_dir(repo::root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            found.push((path.display().to_string(), fs_err::read_to_string(path).unwrap()));
        }
    }
    found
}
