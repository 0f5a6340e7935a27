//! The cluster of the current context, asked through `kubectl`. What Argo CD must be set to is read from
//! `argocd/install`, so that there is one place that says it.

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environments;
use serde_json::Value;

use super::{Finding, ask, finding};
use crate::deliver::manifests;
use crate::identity::{APPLICATIONS, Identity};
use crate::rendered::{Objects, list};
use crate::repo::Repo;

const INSTALL: &str = "argocd/README.md tells how to install it";
const SETTINGS: [&str; 3] = ["argocd-cm", "argocd-cmd-params-cm", "argocd-notifications-cm"];

pub(super) fn findings(repo: &Repo, identity: &Identity) -> anyhow::Result<Vec<Finding>> {
    let context = ask(repo, "kubectl", &["config", "current-context"]);
    let unknown = context.is_err();
    let mut findings = vec![finding("context", context, "kubectl config use-context NAME")];
    if unknown {
        return Ok(findings);
    }
    let get = |args: &[&str]| -> Result<Value, String> {
        let args = [&["get"], args, &["--output", "json"]].concat();
        let text = ask(repo, "kubectl", &args)?;
        serde_json::from_str(&text).map_err(|error| format!("kubectl {}: {error}", args.join(" ")))
    };
    let of_argo_cd = |kind: &str, name: &str| get(&[kind, name, "--namespace", "argocd"]);
    let server = of_argo_cd("deployment", "argocd-server");
    findings.push(finding("Argo CD", server.map(|server| version(&server)), INSTALL));
    for name in SETTINGS {
        let file = format!("argocd/install/{name}.yaml");
        let wanted = Objects::parse(&fs::read_to_string(repo.path(&file))?)?;
        let wanted = wanted.find("ConfigMap", name);
        let wanted = wanted.with_context(|| format!("`{file}` holds no {name}"))?.at("/data");
        let state = of_argo_cd("configmap", name).and_then(|present| is_set(&present, wanted));
        let hint = format!("kubectl -n argocd patch configmap {name} --patch-file {file}");
        findings.push(finding(name, state, hint));
    }
    for (name, secret, key) in [
        ("report token", "argocd-notifications-secret", "gitops-token"),
        ("webhook secret", "argocd-secret", "webhook.github.secret"),
    ] {
        let state = of_argo_cd("secret", secret).and_then(|secret| holds(&secret, key));
        findings.push(finding(name, state, "docs/adopt.md, 4"));
    }
    findings.push(finding(
        "metrics",
        get(&["apiservice", "v1beta1.metrics.k8s.io"]).map(|_| "the autoscaler can see".to_owned()),
        "install metrics-server, or nothing ever scales",
    ));
    let environments = manifests::environments(repo)?;
    let applications = get(&["applications.argoproj.io", "--namespace", "argocd"]);
    findings.push(finding(
        "Applications",
        applications.and_then(|all| are_ours(repo, identity, &environments, &all)),
        "kubectl apply -f argocd/root.yaml",
    ));
    Ok(findings)
}

fn version(server: &Value) -> String {
    let image = &server["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().unwrap_or("of an unknown version").to_owned()
}

/// Every key that our file sets must be so in the cluster; what else is there is its owner's.
fn is_set(present: &Value, wanted: &Value) -> Result<String, String> {
    let wanted = wanted.as_object().into_iter().flatten();
    let different: Vec<&str> = wanted
        .filter(|(key, value)| present["data"][key] != **value)
        .map(|(key, _)| key.as_str())
        .collect();
    if different.is_empty() {
        return Ok("as the repository says".to_owned());
    }
    Err(format!("differs in {}", different.join(", ")))
}

fn holds(secret: &Value, key: &str) -> Result<String, String> {
    match secret["data"][key].as_str() {
        Some(value) if !value.is_empty() => Ok(key.to_owned()),
        _ => Err(format!("{key} is not set")),
    }
}

/// Every environment with an Application in the repository has it in the cluster, from this repository.
fn are_ours(
    repo: &Repo,
    identity: &Identity,
    environments: &Environments,
    all: &Value,
) -> Result<String, String> {
    let mut told = Vec::new();
    for environment in environments.iter() {
        if !repo.path(&format!("{APPLICATIONS}/{environment}.yaml")).is_file() {
            continue;
        }
        let name = format!("{}-{environment}", identity.prefix);
        let mut applications = list(&all["items"]).iter();
        let Some(application) = applications.find(|one| one["metadata"]["name"] == *name) else {
            return Err(format!("{name} is not there"));
        };
        if application["spec"]["source"]["repoURL"] != *identity.repository {
            return Err(format!("{name} syncs another repository than {}", identity.repository));
        }
        told.push(format!(
            "{environment}: {}, {}",
            application["status"]["sync"]["status"].as_str().unwrap_or("never synced"),
            application["status"]["health"]["status"].as_str().unwrap_or("of unknown health"),
        ));
    }
    Ok(told.join("; "))
}
