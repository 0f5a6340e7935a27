//! Alerts and dashboards as Prometheus itself reads and evaluates them, and as the service feeds them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "monitoring/compose.rs"]
mod compose;
#[path = "monitoring/queries.rs"]
mod queries;
#[path = "monitoring/served.rs"]
mod served;

use std::collections::BTreeSet;
use std::path::PathBuf;

use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Value, json};

fn monitoring() -> PathBuf {
    repo::root().join("monitoring")
}

fn files(of: &str) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(monitoring().join(of)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &PathBuf) -> Value {
    serde_yaml::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn groups() -> Vec<Value> {
    let groups = |file: &PathBuf| read(file)["groups"].as_array().unwrap().clone();
    files("rules").iter().flat_map(groups).collect()
}

fn alerts() -> Vec<Value> {
    let rules = groups().into_iter().flat_map(|group| group["rules"].as_array().unwrap().clone());
    rules.filter(|rule| rule["alert"].is_string()).collect()
}

#[test]
fn rules_are_valid_and_fire_when_they_should_and_only_then() {
    run(command("promtool", &monitoring()).args(["check", "rules"]).args(files("rules"))).success();
    run(command("promtool", &monitoring()).args(["test", "rules"]).args(files("tests"))).success();
}

#[test]
fn every_alert_was_seen_to_fire_and_to_be_silent_and_has_a_runbook() {
    let (mut fired, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in files("tests") {
        for case in read(&file)["tests"].as_array().unwrap() {
            for check in case["alert_rule_test"].as_array().into_iter().flatten() {
                let name = check["alertname"].as_str().unwrap().to_owned();
                let expected = check["exp_alerts"].as_array().map_or(0, Vec::len);
                if expected > 0 {
                    fired.insert(name)
                } else {
                    silent.insert(name)
                };
            }
        }
    }
    let runbooks = fs_err::read_to_string(repo::root().join("docs/runbooks.md")).unwrap();
    let alerts = alerts();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(fired.contains(name) && silent.contains(name), "{name} has no test");
        let annotations = &alert["annotations"];
        assert!(annotations["summary"].is_string() && annotations["description"].is_string());
        assert!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()));
        let heading = annotations["runbook_url"].as_str().unwrap();
        // Whoever is woken has no checkout at hand.
        assert!(heading.starts_with("https://"), "{name}: {heading}");
        let (_, heading) = heading.split_once("/blob/main/docs/runbooks.md#").unwrap();
        assert!(runbooks.contains(&format!("\n### {heading}\n")), "{name}: no heading `{heading}`");
    }
}

#[test]
fn the_operator_gets_the_same_rules() {
    let file = monitoring().join("operator/prometheus-rule.yaml");
    let wanted = json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": { "name": "mnist-api" }, "spec": { "groups": groups() } });
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let yaml = serde_yaml::to_string(&wanted).unwrap();
        let head = "# Written from monitoring/rules/ by `UPDATE_EXPECT=1 cargo test --package e2e --test monitoring`.\n";
        fs_err::write(&file, format!("{head}{yaml}")).unwrap();
    }
    assert_eq!(read(&file), wanted);
}
