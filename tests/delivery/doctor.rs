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
while [ "$1" = --context ] || [ "$1" = --request-timeout ]; do shift 2; done
case "$1" in
  --version|version) echo "a version 1"; exit ;;
  config) echo a-context; exit ;;
  api) name="$2" ;;
  get) name="$2 $3" ;;
esac
file="$ANSWERS/$(echo "$name" | tr '/ ' '__')"
[ -e "$file" ] && exec cat "$file"
echo "${0##*/}: Not Found (HTTP 404)" >&2
exit 1
"#;

struct World {
    folder: TempDir,
    fork: Fork,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), fork: Fork::new() };
        world.fork.write(".github/CODEOWNERS", "* @acme/leaves\n");
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

    fn forget(&self, question: &str) {
        fs_err::remove_file(self.path(&question.replace(['/', ' '], "_"))).unwrap();
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

/// Questions below the repository's, with their answers.
fn github() -> Vec<(String, Value)> {
    let others = [
        ("", json!({ "full_name": "OWNER/mnist-api" })),
        (
            "/rules/branches/main?per_page=100",
            json!([{ "type": "pull_request", "ruleset_id": 7 }, { "type": "required_status_checks", "ruleset_id": 7 }]),
        ),
        ("/rulesets/7", bypassed_by(&json!([bot()]))),
        ("/codeowners/errors", json!({ "errors": [] })),
        (
            "/actions/variables/GITOPS_CLIENT_ID",
            json!({ "name": "GITOPS_CLIENT_ID", "value": "x" }),
        ),
        (
            "/environments/gitops/secrets/GITOPS_PRIVATE_KEY",
            json!({ "name": "GITOPS_PRIVATE_KEY" }),
        ),
        (
            "/hooks?per_page=100",
            json!([{ "active": true, "config": { "url": "https://cd.example.org/api/webhook", "content_type": "json" } }]),
        ),
    ];
    let folder = fs_err::read_dir(repo::root().join(".github/workflows")).unwrap();
    let workflows = folder.map(|entry| {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let answer = json!({ "path": format!(".github/workflows/{file}"), "state": "active" });
        (format!("/actions/workflows/{file}"), answer)
    });
    let all = others.map(|(path, answer)| (path.to_owned(), answer)).into_iter().chain(workflows);
    all.map(|(path, answer)| (format!("{SLUG}{path}"), answer)).collect()
}

fn bot() -> Value {
    json!({ "actor_id": 5, "actor_type": "Integration", "bypass_mode": "always" })
}

fn bypassed_by(actors: &Value) -> Value {
    json!({ "id": 7, "bypass_actors": actors })
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
        "App 5, and nobody else",
        "main takes those of the bot",
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
    let nowhere =
        json!({ "errors": [{ "path": ".github/CODEOWNERS", "line": 2, "kind": "Unknown owner" }] });
    let of_requests =
        json!({ "actor_id": 5, "actor_type": "Integration", "bypass_mode": "pull_request" });
    let admins = json!({ "actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always" });
    let another = json!({ "actor_id": 6, "actor_type": "Integration", "bypass_mode": "always" });
    let rules = "/rules/branches/main?per_page=100";
    for (question, answer, told) in [
        (rules, json!([]), "anybody with write access may push to main"),
        (rules, rule("pull_request"), "takes pull requests unchecked"),
        ("/rulesets/7", bypassed_by(&json!([])), "no App may push to main"),
        ("/rulesets/7", bypassed_by(&json!([of_requests])), "no App may push to main"),
        (
            "/rulesets/7",
            bypassed_by(&json!([bot(), admins])),
            "more than the bot bypass it: App 5, Rep",
        ),
        (
            "/rulesets/7",
            bypassed_by(&json!([bot(), another])),
            "more than the bot bypass it: App 5, App 6",
        ),
        // What GitHub tells those who may not edit it.
        ("/rulesets/7", json!({ "id": 7 }), "only who may edit the ruleset 7 is told"),
        (
            "/branches/main/protection/required_signatures",
            json!({ "enabled": true }),
            "main refuses the bot's releases and reverts",
        ),
        ("/codeowners/errors", nowhere, ".github/CODEOWNERS:2: Unknown owner"),
        (
            "/actions/workflows/audit.yml",
            json!({ "state": "disabled_inactivity" }),
            "not active: audit.yml",
        ),
        ("/hooks?per_page=100", json!([]), "nothing tells Argo CD of a push"),
    ] {
        let world = World::new();
        world.answer(&format!("{SLUG}{question}"), &answer);
        says(&world.doctor(), 5, &[told, "hint: "]);
    }
    for (question, told) in [
        ("/actions/variables/GITOPS_CLIENT_ID", "gh variable set GITOPS_CLIENT_ID"),
        (
            "/environments/gitops/secrets/GITOPS_PRIVATE_KEY",
            "gh secret set GITOPS_PRIVATE_KEY --env gitops",
        ),
        ("/actions/workflows/retrain.yml", "not active: retrain.yml"),
    ] {
        let world = World::new();
        world.forget(&format!("{SLUG}{question}"));
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

#[test]
fn signed_commits_may_be_required_of_everybody_but_the_bot() {
    let rules = json!(
        ["pull_request", "required_status_checks", "required_signatures"]
            .map(|kind| json!({ "type": kind, "ruleset_id": 7 }))
    );
    let world = World::new();
    world.answer(&format!("{SLUG}/rules/branches/main?per_page=100"), &rules);
    says(&world.doctor(), 5, &["main takes those of the bot"]);
    world.answer(&format!("{SLUG}/rulesets/7"), &bypassed_by(&json!([])));
    says(&world.doctor(), 5, &["main refuses the bot's releases and reverts", "hint: "]);
}

#[test]
fn names_that_no_machine_can_know_are_asked_for() {
    let world = World::new();
    world.fork.write(".github/CODEOWNERS", "* @OWNER\n");
    let signing = "mode: keyless\nissuer: x\nidentity: https://github.com/other/api/x@y\n";
    world.fork.write("kustomize/signing.yaml", signing);
    let told =
        [".github/CODEOWNERS names @OWNER", "lets only https://github.com/other/api/x@y sign"];
    says(&world.doctor(), 5, &told);
}
