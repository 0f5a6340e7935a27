//! `argocd/` as Argo CD's own program reads it: which states send a report, what it says, and what counts as
//! healthy. That program exits with 0 whatever it finds, so its words are what is looked at.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use e2e::process::{Ended, command, run};
use e2e::repo;
use gitops::environment::{Environment, Environments, Part};
use gitops::event::Event;
use serde::Deserialize;
use serde_json::{Value, json};

const TRIGGERS: [&str; 3] = ["release-failed", "release-deployed", "release-unrenderable"];
/// Demanded by the program, and never asked.
const KUBECONFIG: &str = r#"{"apiVersion":"v1","kind":"Config","current-context":"none",
    "contexts":[{"name":"none","context":{"cluster":"none","user":"none"}}],
    "clusters":[{"name":"none","cluster":{"server":"http://127.0.0.1:1"}}],
    "users":[{"name":"none","user":{}}]}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    fires: Vec<String>,
    renders: Option<String>,
    #[serde(default = "production")]
    labels: Value,
    status: Value,
}

fn production() -> Value {
    json!({ "env": "production" })
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.put("kubeconfig", KUBECONFIG);
        let secret = json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "argocd-notifications-secret" },
            "stringData": { "gitops-token": "a-token" } });
        desk.put("secret.yaml", &secret.to_string());
        desk
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs_err::write(&path, text).unwrap();
        path
    }

    fn admin(&self, args: &[&str]) -> Ended {
        let mut argocd = command("argocd", self.folder.path());
        argocd.env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        argocd.env("ARGOCD_FAKE_IN_CLUSTER", "true").arg("admin").args(args);
        run(&mut argocd)
    }

    fn notifications(&self, args: &[&str]) -> String {
        let config = settings("argocd-notifications-cm");
        let secret = self.folder.path().join("secret.yaml").display().to_string();
        let mut all = vec!["notifications", "--config-map", &config, "--secret", &secret];
        all.extend(args);
        all.extend(["app.yaml", "--namespace", "argocd"]);
        self.admin(&all).success().stdout
    }

    fn state(&self, application: &Application) {
        let status = without_nulls(&application.status);
        let manifest = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": { "name": "mnist-production", "namespace": "argocd", "labels": application.labels },
            "spec": { "project": "mnist",
                "source": { "repoURL": "https://example.org/o/r.git", "path": "kustomize/overlays/production" },
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "mnist-production" } },
            "status": status });
        self.put("app.yaml", &manifest.to_string());
    }

    /// How often each condition of a trigger is true.
    fn conditions(&self, trigger: &str) -> usize {
        let table = self.notifications(&["trigger", "run", trigger]);
        let results = table.lines().skip(1).map(|line| line.split_whitespace().last());
        let results: Vec<bool> = results.map(|word| word.unwrap().parse().unwrap()).collect();
        assert!(!results.is_empty(), "{trigger}: {table}");
        results.into_iter().filter(|result| *result).count()
    }

    /// The request that a template makes of the present state.
    fn request(&self, template: &str) -> Request {
        let printed = self.notifications(&["template", "notify", template]);
        let notification: BTreeMap<String, BTreeMap<String, Request>> =
            serde_yaml::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        notification["webhook"]["gitops"].clone()
    }
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    body: String,
}

/// A null in a merged map takes a field away: Argo CD leaves it out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, field)| !field.is_null());
            set.map(|(name, field)| (name.clone(), without_nulls(field))).collect()
        }
        other => other.clone(),
    }
}

fn settings(name: &str) -> String {
    repo::root().join(format!("argocd/install/{name}.yaml")).display().to_string()
}

#[test]
fn every_state_sends_the_report_that_the_loop_reads_or_none() {
    let text = fs_err::read_to_string(repo::root().join("tests/fixtures/applications.yaml"));
    let mut applications: Value = serde_yaml::from_str::<serde_yaml::Value>(&text.unwrap())
        .and_then(|mut value| value.apply_merge().map(|()| value))
        .and_then(serde_yaml::from_value)
        .unwrap();
    let desk = Desk::new();
    for (name, application) in applications.as_object_mut().unwrap() {
        let application: Application = serde_json::from_value(application.take()).unwrap();
        desk.state(&application);
        let counts = TRIGGERS.map(|trigger| desk.conditions(trigger));
        let fires = TRIGGERS.into_iter().zip(counts).filter(|(_, count)| *count > 0);
        assert_eq!(
            fires.map(|(trigger, _)| trigger).collect::<Vec<_>>(),
            application.fires,
            "{name}"
        );
        // Two conditions of one trigger would send the report twice.
        assert!(counts.iter().all(|count| *count < 2), "{name}: {counts:?}");

        let Some(template) = application.renders.or(application.fires.first().cloned()) else {
            continue;
        };
        let request = desk.request(&template);
        assert_eq!(request.method, "POST");
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let report = body["inputs"]["report"].as_str().unwrap();
        let read = fs_err::read(repo::root().join(format!("xtask/gitops/fixtures/{name}.json")));
        let read: Value = serde_json::from_slice(&read.unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(report).unwrap(), read, "{name}");
        // Refused is what does not say which commit of which environment it is about; what the others mean
        // is told by the tests beside the recordings.
        let refused = ["unlabelled", "no-status", "error-without-result"].contains(&name.as_str());
        let environments: Environments = [environment("production")].into_iter().collect();
        let accepted = Event::parse(report.as_bytes(), &environments).is_ok();
        assert_eq!(accepted, !refused, "{name}");
        takes(&request, &body);
    }
}

fn environment(name: &str) -> Environment {
    match Part::of(&format!("kustomize/overlays/{name}/release/kustomization.yaml")) {
        Part::Pin(environment) => environment,
        part => panic!("{part:?}"),
    }
}

/// The workflow that the request starts is there, and takes exactly these inputs.
fn takes(request: &Request, body: &Value) {
    assert_eq!(body["ref"], "main");
    let file = request.path.strip_prefix('/').and_then(|path| path.strip_suffix("/dispatches"));
    let path = repo::root().join(".github/workflows").join(file.unwrap());
    let workflow: Value = serde_yaml::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    let inputs = workflow["on"]["workflow_dispatch"]["inputs"].as_object().unwrap();
    for name in body["inputs"].as_object().unwrap().keys() {
        assert!(inputs.contains_key(name), "{} takes no `{name}`", request.path);
    }
}

fn autoscaler(conditions: &[(&str, &str, &str, &str)]) -> Value {
    let condition = |(kind, status, reason, message): &(&str, &str, &str, &str)| {
        json!({ "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-23T18:11:29Z" })
    };
    let conditions: Vec<_> = conditions.iter().map(condition).collect();
    json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "mnist-hpa", "namespace": "mnist-production" },
        "spec": { "maxReplicas": 5, "scaleTargetRef": { "kind": "Deployment", "name": "mnist-deployment" } },
        "status": { "conditions": conditions } })
}

#[test]
fn an_autoscaler_without_metrics_yet_fails_no_sync_and_one_that_cannot_work_does() {
    let desk = Desk::new();
    let able =
        ("AbleToScale", "True", "SucceededGetScale", "the controller was able to get the scale");
    let blind = (
        "ScalingActive",
        "False",
        "FailedGetResourceMetric",
        "failed to get memory utilization: no metrics returned from resource metrics API",
    );
    let unasked = (
        "ScalingActive",
        "False",
        "FailedGetResourceMetric",
        "failed to get cpu utilization: missing request for cpu in container api",
    );
    let unable = ("AbleToScale", "False", "FailedGetScale", "deployments.apps not found");
    let active = ("ScalingActive", "True", "ValidMetricFound", "calculated a replica count");
    let stock = desk.put("stock.yaml", STOCK).display().to_string();
    let ours = settings("argocd-cm");
    for (settings, conditions, health) in [
        (&ours, &[][..], "Progressing"),
        (&ours, &[able, active], "Healthy"),
        (&ours, &[able, blind], "Healthy"),
        (&ours, &[able, unasked], "Degraded"),
        (&ours, &[unable], "Degraded"),
        // What it is needed for.
        (&stock, &[able, blind], "Degraded"),
    ] {
        let object = desk.put("autoscaler.yaml", &autoscaler(conditions).to_string());
        let object = object.display().to_string();
        let ended = desk.admin(&[
            "settings",
            "resource-overrides",
            "health",
            &object,
            "--argocd-cm-path",
            settings,
        ]);
        let said = ended.success().stdout;
        assert!(said.contains(&format!("STATUS: {health}")), "{conditions:?}: {said}");
    }
}

const STOCK: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: argocd-cm, labels: { app.kubernetes.io/part-of: argocd } }
data: {}
";

#[test]
fn argo_cd_takes_every_setting() {
    let ended =
        Desk::new().admin(&["settings", "validate", "--argocd-cm-path", &settings("argocd-cm")]);
    let said = ended.success().stdout;
    assert!(said.contains("resource overrides") && !said.contains('❌'), "{said}");
}

#[test]
fn a_revert_is_seen_within_two_minutes_even_if_no_webhook_arrives() {
    let text = fs_err::read_to_string(settings("argocd-cm")).unwrap();
    let data = serde_yaml::from_str::<Value>(&text).unwrap()["data"].take();
    // By the controller once a minute, of a commit that the repo server remembers for as long.
    assert_eq!(data["timeout.reconciliation"], "60s");
    assert_eq!(data["timeout.reconciliation.jitter"], "0s", "by default it adds a minute");
}

#[test]
fn whoever_copies_a_block_of_the_readme_does_one_thing_and_all_of_it() {
    let readme = fs_err::read_to_string(repo::root().join("argocd/README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```").skip(1).step_by(2).filter(|block| block.starts_with("sh")).collect();
    let patching = blocks.iter().filter(|block| block.contains("patch configmap"));
    let [patched] = patching.collect::<Vec<_>>()[..] else { panic!("{blocks:?}") };
    assert!(!patched.contains("--kustomize"), "installs and patches: {patched}");
    // Each reads its settings only when it starts.
    for reader in ["statefulset/argocd-application-controller", "deployment/argocd-repo-server"] {
        assert!(patched.contains(reader), "{reader} keeps the old settings");
    }
}
