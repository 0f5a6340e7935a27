//! What the files say, each taken as text: tokens, keys, groups, caches, pinned actions.

use std::collections::BTreeSet;

use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Value, json};

use crate::expressions::Expressions;
use crate::runner::workflow;

const ALL: [&str; 9] =
    ["audit", "ci", "deployed", "hold", "promote", "release", "retrain", "rollback", "watch"];

/// Where others' code is built for an hour, there is nothing to push to main with.
#[test]
fn the_bots_key_is_read_in_its_environment_and_not_where_a_model_is_trained() {
    for name in ALL {
        for (job, definition) in workflow(name)["jobs"].as_object().unwrap() {
            let text = definition.to_string();
            let has_key = text.contains("secrets.GITOPS_PRIVATE_KEY");
            assert_eq!(has_key, definition["environment"] == "gitops", "{name}.{job}");
            let builds = text.contains("\"train\"") || text.contains("\"image build");
            assert!(!(has_key && builds), "{name}.{job}");
            let keeps = text.contains("\"persist-credentials\":false");
            assert_eq!(has_key, text.contains("actions/checkout@") && !keeps, "{name}.{job}");
        }
    }
    // Before it is pinned, and nothing that somebody else left in the registry.
    let release = workflow("release");
    let mut attesting = Vec::new();
    collect(&release["jobs"]["build"], "uses", &mut attesting);
    attesting.retain(|step| text_of(step, "uses").contains("attest"));
    assert!(!attesting.is_empty());
    for step in attesting {
        assert_eq!(step["if"], "fromJSON(steps.image.outputs.last).built", "{step}");
    }
    assert!(!release["jobs"]["pin"].to_string().contains("attest"));
    // Without it the called workflow's Environment has no secret.
    assert_eq!(workflow("retrain")["jobs"]["retrain"]["secrets"], "inherit");
}

/// What reads the remote of versioned data: no training, and nothing that pushes.
#[test]
fn the_datas_credentials_are_read_by_the_step_that_pulls_it() {
    const KINDS: [&str; 4] = ["secrets.AWS_", "secrets.AZURE_", "secrets.GOOGLE_", "steps.reader."];
    let count = |text: &str| KINDS.iter().map(|kind| text.matches(kind).count()).sum::<usize>();
    let release = workflow("release");
    let mut steps = Vec::new();
    collect(&release, "uses", &mut steps);
    let place = |arguments: &str| {
        steps.iter().position(|step| step["with"]["arguments"] == arguments).unwrap()
    };
    assert!(place("data pull") < place("train"));
    // It compiles nothing: what does was done before there was a key.
    let jobs = workflow("release")["jobs"]["build"]["steps"].take();
    let named = |name: &str| jobs.as_array().unwrap().iter().position(|step| step["name"] == name);
    assert!(
        named("Build what pulls the data").unwrap()
            < named("Become who may read the data").unwrap()
    );
    let pulls = steps[place("data pull")];
    assert!(text_of(&pulls["env"], "XTASK_PROGRAMS").ends_with("/target/release"), "{pulls}");
    let read = count(&pulls["env"].to_string());
    assert!(read > 0 && count(&pulls.to_string()) == read, "{pulls}");
    let everywhere: usize = files().iter().map(|(_, text)| count(text)).sum();
    assert_eq!(everywhere, read);
    // Credentials that such an action finds go to every step that follows, unless it is told otherwise.
    let roles = steps.iter().filter(|step| text_of(step, "uses").contains("configure-aws"));
    for role in roles {
        assert_eq!(role["with"]["output-env-credentials"], false, "{role}");
        assert_eq!(role["with"]["role-to-assume"], "${{ vars.AWS_ROLE_ARN }}");
    }
}

#[test]
fn production_is_asked_for_in_an_environment_that_may_have_reviewers() {
    for (name, job, input) in [("promote", "promote", "to"), ("release", "pin", "environment")] {
        let jobs = &workflow(name)["jobs"];
        assert!(jobs[job]["needs"].to_string().contains("\"approve\""), "{name}");
        let environment = jobs["approve"]["environment"].as_str().unwrap();
        assert_eq!(environment, format!("${{{{ inputs.{input} }}}}"), "{name}");
    }
}

#[test]
fn a_cache_serves_the_next_version_too_and_is_unpacked_once_in_a_job() {
    let mut seen = 0;
    for (name, text) in files() {
        let file: Value = serde_yaml::from_str(&text).unwrap();
        let mut steps = Vec::new();
        collect(&file, "uses", &mut steps);
        for step in steps.iter().filter(|step| text_of(step, "uses").contains("actions/cache@")) {
            let (key, path) = (text_of(&step["with"], "key"), text_of(&step["with"], "path"));
            let again = text_of(&step["with"], "restore-keys");
            assert!(!key.contains("hashFiles") || key.starts_with(again), "{name}: {key}");
            assert!(!key.contains("hashFiles") || !again.is_empty(), "{name}: {key}");
            // libtorch and what is built with it are no part of a rollback.
            assert!(!path.lines().any(|line| line == "target"), "{name}: {path}");
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
    for name in ALL {
        for (job, definition) in workflow(name)["jobs"].as_object().unwrap() {
            let text = definition.to_string();
            let once = usize::from(text.contains("./.github/actions/loop"));
            let setups = text.matches("./.github/actions/setup").count();
            assert_eq!(setups, once, "{name}.{job}");
        }
    }
    let ci = fs_err::read_to_string(repo::root().join(".github/workflows/ci.yml")).unwrap();
    assert!(ci.contains("container: rust:") && ci.contains(" /usr/local/cargo/registry\n"));
}

fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// actionlint hands only those of workflows to it.
#[test]
fn scripts_of_our_actions_pass_shellcheck() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    for (name, text) in files() {
        let action: Value = serde_yaml::from_str(&text).unwrap();
        let mut steps = Vec::new();
        collect(&action["runs"], "run", &mut steps);
        for step in steps {
            fs_err::write(&file, text_of(step, "run")).unwrap();
            let mut shellcheck = command("shellcheck", folder.path());
            let ended = run(shellcheck.args(["--shell=bash", "script"]));
            assert_eq!(ended.code, Some(0), "{name}: {}", ended.stdout);
        }
    }
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
        for field in ["run", "arguments"] {
            let mut steps = Vec::new();
            collect(&file, field, &mut steps);
            for step in steps.into_iter().filter(|step| step[field].is_string()) {
                let text = text_of(step, field);
                assert!(!text.contains("${{"), "{name}: {text}");
                assert!(field == "run" || !text.contains('\n'), "{name}: {text}");
            }
        }
    }
}

/// Every object that has the field.
fn collect<'a>(value: &'a Value, field: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key(field) {
                found.push(value);
            }
            fields.values().for_each(|value| collect(value, field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, field, found)),
        _ => {}
    }
}

#[test]
fn a_token_may_do_what_its_job_needs() {
    for name in ALL {
        let file = workflow(name);
        assert_eq!(file["permissions"], json!({}), "{name}");
        for (job, definition) in file["jobs"].as_object().unwrap() {
            let granted = definition["permissions"].as_object().unwrap();
            let publishes =
                ["release.build", "retrain.retrain"].contains(&&*format!("{name}.{job}"));
            let signs = publishes || (name, job.as_str()) == ("release", "pin");
            for (scope, access) in granted {
                let known = match scope.as_str() {
                    "contents" => access == "read",
                    "issues" => access == "write" && name != "ci",
                    "packages" if signs => access == "write",
                    // Where an image is looked at before something is pushed.
                    "packages" => {
                        access == "read" && ["promote", "rollback", "watch"].contains(&name)
                    }
                    "id-token" => signs,
                    "attestations" => publishes,
                    _ => false,
                };
                assert!(known, "{name}.{job}: {scope}: {access}");
            }
        }
    }
}

#[test]
fn nothing_is_waited_for_by_the_report_of_another_change() {
    let group = |name: &str, inputs: Value| {
        let file = workflow(name);
        let group = text_of(&file["concurrency"], "group").trim().to_owned();
        Expressions(json!({ "inputs": inputs })).expand(&group)
    };
    let reported = |name: &str, revision: &str| {
        let payload = json!({ "env": "staging", "revision": revision });
        let report = json!({ "client_payload": payload }).to_string();
        group(name, json!({ "report": report, "environment": "production" }))
    };
    assert_eq!(reported("rollback", "abc"), "rollback-staging-abc");
    assert_eq!(reported("deployed", "abc"), "deployed-staging-abc");
    assert_eq!(reported("rollback", "def"), "rollback-staging-def");
    let by_hand = json!({ "report": "", "environment": "production" });
    assert_eq!(group("rollback", by_hand), "rollback-production-by-hand");
    // What pins in the same environment takes turns.
    let to = json!({ "to": "staging", "environment": "staging" });
    assert_eq!(group("promote", to.clone()), "release-staging");
    assert_eq!(group("release", to), "release-staging");
    for name in ALL {
        let definition = workflow(name);
        let mut groups = Vec::new();
        collect(&definition, "cancel-in-progress", &mut groups);
        for group in groups {
            let cancels = &group["cancel-in-progress"];
            let only = "${{ github.event_name == 'pull_request' }}";
            assert!(cancels == false || (name == "ci" && cancels == only), "{name}: {cancels}");
        }
    }
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
        ("hold", "environment"),
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
    let actions = repo::root().join(".github/actions");
    let actions = fs_err::read_dir(actions).unwrap().map(|entry| entry.unwrap().path());
    for folder in actions.chain([repo::root().join(".github/workflows")]) {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push((path.display().to_string(), fs_err::read_to_string(path).unwrap()));
        }
    }
    found
}
