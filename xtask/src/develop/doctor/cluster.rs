//! The cluster of the current context. What Argo CD must be set to is read from `argocd/install`, so that
//! there is one place that says it.

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environments;
use serde_json::Value;

use super::{Finding, finding};
use crate::deliver::manifests;
use crate::identity::{APPLICATIONS, Identity, SETTINGS};
use crate::rendered::{Objects, list};
use crate::repo::Repo;
use crate::report::causes;
use crate::tools::kubectl::Kubectl;

const INSTALL: &str = "argocd/README.md tells how to install it";

pub(super) fn findings(repo: &Repo, identity: &Identity) -> anyhow::Result<Vec<Finding>> {
    let kubectl = match Kubectl::of(repo, None) {
        Ok(kubectl) => kubectl,
        Err(error) => {
            let hint = "kubectl config use-context NAME";
            return Ok(vec![finding("context", Err(causes(&error)), hint)]);
        }
    };
    let mut findings = vec![finding("context", Ok(kubectl.context().to_owned()), "")];
    let server = of_argo_cd(&kubectl, "deployment", "argocd-server");
    findings.push(finding("Argo CD", server.map(|server| version(&server)), INSTALL));
    for name in SETTINGS {
        findings.push(setting(repo, &kubectl, name, "")?);
    }
    for (name, secret, key) in [
        ("report token", "argocd-notifications-secret", "gitops-token"),
        ("webhook secret", "argocd-secret", "webhook.github.secret"),
    ] {
        let state = of_argo_cd(&kubectl, "secret", secret).and_then(|secret| holds(&secret, key));
        findings.push(finding(name, state, "docs/adopt.md, 4"));
    }
    findings.push(metrics(&kubectl));
    let environments = manifests::environments(repo)?;
    let applications = ask(&kubectl, &["applications.argoproj.io", "--namespace", "argocd"]);
    findings.push(finding(
        "Applications",
        applications.and_then(|all| are_ours(repo, identity, &environments, &all)),
        "kubectl apply -f argocd/root.yaml",
    ));
    Ok(findings)
}

/// Whether every key of ours that begins so is set as our file says.
pub(crate) fn setting(
    repo: &Repo,
    kubectl: &Kubectl,
    name: &'static str,
    prefix: &str,
) -> anyhow::Result<Finding> {
    let file = format!("argocd/install/{name}.yaml");
    let wanted = Objects::parse(&fs::read_to_string(repo.path(&file))?)?;
    let wanted = wanted.find("ConfigMap", name);
    let wanted = wanted.with_context(|| format!("`{file}` holds no {name}"))?.at("/data");
    let state =
        of_argo_cd(kubectl, "configmap", name).and_then(|present| is_set(&present, wanted, prefix));
    Ok(finding(name, state, "cargo xtask cluster bootstrap"))
}

pub(crate) fn metrics(kubectl: &Kubectl) -> Finding {
    let api = ask(kubectl, &["apiservice", "v1beta1.metrics.k8s.io"]);
    let state = api.map(|_| "the autoscaler can see".to_owned());
    finding("metrics", state, "install metrics-server, or nothing ever scales")
}

fn ask(kubectl: &Kubectl, args: &[&str]) -> Result<Value, String> {
    kubectl.get(args).map_err(|error| causes(&error))
}

fn of_argo_cd(kubectl: &Kubectl, kind: &str, name: &str) -> Result<Value, String> {
    ask(kubectl, &[kind, name, "--namespace", "argocd"])
}

fn version(server: &Value) -> String {
    let image = &server["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().unwrap_or("of an unknown version").to_owned()
}

/// Every key that our file sets must be so in the cluster; what else is there is its owner's.
fn is_set(present: &Value, wanted: &Value, prefix: &str) -> Result<String, String> {
    let wanted = wanted.as_object().into_iter().flatten();
    let different: Vec<&str> = wanted
        .filter(|(key, _)| key.starts_with(prefix))
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
