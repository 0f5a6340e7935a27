//! `doctor` on the answers of GitHub and of a cluster: `gh` and `kubectl` are stood in for by answers in the
//! form that GitHub's REST API (2022-11-28) and Kubernetes 1.34 document.

use std::path::PathBuf;

use e2e::process::{Ended, command, run};
use e2e::repo;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::adoption::Fork;
use crate::scratch::says;

/// Answers what a file of the question's name holds; without one, what does not exist.
const STANDS_IN: &str = r#"#!/bin/sh
case "$1" in
  --version|version) echo "a version 1"; exit ;;
  config) echo a-context; exit ;;
  api) name="$2" ;;
  get) name="$2 $3" ;;
esac
file="$ANSWERS/$(echo "$name" | tr '/ ' '__')"
[ -e "$file" ] && exec cat "$file"
echo "not found: $name" >&2
exit 1
"#;

struct World {
    folder: TempDir,
    fork: Fork,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), fork: Fork::new() };
        for name in ["gh", "kubectl"] {
            let path = world.path(name);
            fs_err::write(&path, STANDS_IN).unwrap();
            run(command("chmod", world.folder.path()).arg("+x").arg(path)).success();
        }
        for (question, answer) in github().into_iter().chain(cluster(&world.fork)) {
            world.answer(&question, &answer);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn answer(&self, question: &str, answer: &Value) {
        fs_err::write(self.path(&question.replace(['/', ' '], "_")), answer.to_string()).unwrap();
    }

    fn doctor(&self) -> Ended {
        let mut xtask = command(repo::xtask(), &self.fork.path(""));
        let inherited = std::env::var_os("PATH").unwrap();
        let path = [self.folder.path().as_os_str(), inherited.as_os_str()].join(":".as_ref());
        xtask.env("PATH", path).env("ANSWERS", self.folder.path());
        run(xtask.args(["doctor", "--github", "--cluster"]))
    }
}

const SLUG: &str = "repos/OWNER/mnist-api";

fn github() -> Vec<(String, Value)> {
    let workflow =
        |name: &str| json!({ "path": format!(".github/workflows/{name}.yml"), "state": "active" });
    [
        ("", json!({ "full_name": "OWNER/mnist-api" })),
        (
            "/rules/branches/main",
            json!([{ "type": "pull_request", "ruleset_id": 7 }, { "type": "required_status_checks", "ruleset_id": 7 }]),
        ),
        ("/rulesets/7", json!({ "bypass_actors": [{ "actor_id": 5, "actor_type": "Integration", "bypass_mode": "always" }] })),
        ("/actions/variables", json!({ "variables": [{ "name": "GITOPS_CLIENT_ID", "value": "x" }] })),
        ("/actions/secrets", json!({ "secrets": [{ "name": "GITOPS_PRIVATE_KEY" }] })),
        (
            "/actions/workflows",
            json!({ "workflows": (["deployed", "promote", "release", "rollback", "watch"].map(workflow)) }),
        ),
        (
            "/hooks",
            json!([{ "active": true, "config": { "url": "https://cd.example.org/api/webhook", "content_type": "json" } }]),
        ),
    ]
    .map(|(path, answer)| (format!("{SLUG}{path}"), answer))
    .into()
}

fn cluster(fork: &Fork) -> Vec<(String, Value)> {
    let settings = ["argocd-cm", "argocd-cmd-params-cm", "argocd-notifications-cm"].map(|name| {
        let file = fork.path(&format!("argocd/install/{name}.yaml"));
        let text = fs_err::read_to_string(file).unwrap();
        (format!("configmap {name}"), serde_yaml::from_str::<Value>(&text).unwrap())
    });
    let application = |environment: &str| {
        json!({ "metadata": { "name": format!("mnist-{environment}") },
            "spec": { "source": { "repoURL": "https://github.com/OWNER/mnist-api.git" } },
            "status": { "sync": { "status": "Synced" }, "health": { "status": "Healthy" } } })
    };
    let server = json!({ "spec": { "template": { "spec": { "containers": [{ "image": "argocd:v3.5.3" }] } } } });
    let others = [
        ("deployment argocd-server", server),
        ("secret argocd-notifications-secret", json!({ "data": { "gitops-token": "eA==" } })),
        ("secret argocd-secret", json!({ "data": { "webhook.github.secret": "eA==" } })),
        ("apiservice v1beta1.metrics.k8s.io", json!({})),
        (
            "applications.argoproj.io --namespace",
            json!({ "items": (["staging", "production"].map(application)) }),
        ),
    ];
    settings.into_iter().chain(others.map(|(name, answer)| (name.to_owned(), answer))).collect()
}

#[test]
fn where_all_is_there_each_thing_is_told_and_none_is_missed() {
    let said = World::new().doctor();
    let told = format!("{}{}", said.stdout, said.stderr);
    for line in [
        "OWNER/mnist-api",
        "an App, and nobody else",
        "tells Argo CD of a push",
        "argocd:v3.5.3",
        "as the repository says",
        "staging: Synced, Healthy",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    // What this machine lacks is its own affair.
    let lacking = told.lines().filter(|line| line.starts_with("missing"));
    let ours = ["git ", "c++", "python3", "go ", "docker", "argocd ", "shellcheck", "libtorch"];
    for line in lacking {
        assert!(ours.iter().any(|name| line["missing  ".len()..].starts_with(name)), "{line}");
    }
}

#[test]
fn what_is_missing_is_told_with_the_way_to_get_it() {
    let rule = |kind: &str| json!([{ "type": kind, "ruleset_id": 7 }]);
    for (question, answer, told) in [
        ("/rules/branches/main", json!([]), "anybody with write access may push to main"),
        ("/rules/branches/main", rule("pull_request"), "takes pull requests unchecked"),
        ("/rulesets/7", json!({ "bypass_actors": [] }), "no App may push to main"),
        (
            "/rulesets/7",
            json!({ "bypass_actors": [{ "actor_type": "Integration" }, { "actor_type": "RepositoryRole" }] }),
            "1 besides the App",
        ),
        ("/actions/variables", json!({ "variables": [] }), "gh variable set GITOPS_CLIENT_ID"),
        ("/actions/secrets", json!({ "secrets": [] }), "gh secret set GITOPS_PRIVATE_KEY"),
        ("/actions/workflows", json!({ "workflows": [] }), "not active: deployed.yml"),
        ("/hooks", json!([]), "nothing tells Argo CD of a push"),
    ] {
        let world = World::new();
        world.answer(&format!("{SLUG}{question}"), &answer);
        says(&world.doctor(), 5, &[told, "hint: "]);
    }
    for (question, answer, told) in [
        (
            "configmap argocd-cm",
            json!({ "data": { "timeout.reconciliation": "180s" } }),
            "differs in resource.customizations",
        ),
        ("configmap argocd-cmd-params-cm", json!({}), "controller.sync.timeout.seconds"),
        ("secret argocd-notifications-secret", json!({ "data": {} }), "gitops-token is not set"),
        ("secret argocd-secret", json!({}), "webhook.github.secret is not set"),
        (
            "applications.argoproj.io --namespace",
            json!({ "items": [] }),
            "kubectl apply -f argocd/root.yaml",
        ),
    ] {
        let world = World::new();
        world.answer(question, &answer);
        says(&world.doctor(), 5, &[told, "hint: "]);
    }
}
