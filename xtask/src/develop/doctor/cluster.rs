//! The cluster of the current context, asked through `kubectl`. What Argo CD must be set to is read from
//! `argocd/install`, so that there is one place that says it.

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environments;
use serde_json::Value;

use super::{Finding, ask, found, lacks};
use crate::deliver::manifests;
use crate::identity::Identity;
use crate::rendered::{Objects, list};
use crate::repo::Repo;

const INSTALL: &str = "argocd/README.md tells how to install it";
const SETTINGS: [&str; 3] = ["argocd-cm", "argocd-cmd-params-cm", "argocd-notifications-cm"];

pub(super) fn findings(repo: &Repo, identity: &Identity) -> anyhow::Result<Vec<Finding>> {
    let get = |args: &[&str]| -> Result<Value, String> {
        let args = [&["get"], args, &["--output", "json"]].concat();
        let text = ask(repo, "kubectl", &args)?;
        serde_json::from_str(&text).map_err(|error| format!("kubectl {}: {error}", args.join(" ")))
    };
    let mut findings = vec![match ask(repo, "kubectl", &["config", "current-context"]) {
        Ok(context) => found("context", context),
        Err(error) => return Ok(vec![lacks("context", error, "kubectl config use-context NAME")]),
    }];
    findings.push(argo_cd(get(&["deployment", "argocd-server", "--namespace", "argocd"])));
    for name in SETTINGS {
        findings.push(settings(repo, name, get(&["configmap", name, "--namespace", "argocd"]))?);
    }
    findings.push(secret(
        "report token",
        "gitops-token",
        get(&["secret", "argocd-notifications-secret", "--namespace", "argocd"]),
    ));
    findings.push(secret(
        "webhook secret",
        "webhook.github.secret",
        get(&["secret", "argocd-secret", "--namespace", "argocd"]),
    ));
    findings.push(match get(&["apiservice", "v1beta1.metrics.k8s.io"]) {
        Ok(_) => found("metrics", "the autoscaler can see"),
        Err(error) => lacks("metrics", error, "install metrics-server, or nothing ever scales"),
    });
    let environments = manifests::environments(repo)?;
    let applications = get(&["applications.argoproj.io", "--namespace", "argocd"]);
    findings.push(synced(identity, &environments, repo, applications));
    Ok(findings)
}

fn argo_cd(answer: Result<Value, String>) -> Finding {
    const NAME: &str = "Argo CD";
    match answer {
        Ok(deployment) => {
            let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
            found(NAME, image.as_str().unwrap_or("of an unknown version"))
        }
        Err(error) => lacks(NAME, error, INSTALL),
    }
}

/// Every key that our file sets must be so in the cluster; what else is there is its owner's.
fn settings(
    repo: &Repo,
    name: &'static str,
    answer: Result<Value, String>,
) -> anyhow::Result<Finding> {
    let file = format!("argocd/install/{name}.yaml");
    let hint = format!("kubectl -n argocd patch configmap {name} --patch-file {file}");
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(lacks(name, error, INSTALL)),
    };
    let ours = Objects::parse(&fs::read_to_string(repo.path(&file))?)?;
    let ours = ours.find("ConfigMap", name).with_context(|| format!("`{file}` holds no {name}"))?;
    let wanted = ours.at("/data").as_object().into_iter().flatten();
    let differs =
        |(key, value): (&String, &Value)| (answer["data"][key] != *value).then(|| key.clone());
    let different: Vec<String> = wanted.filter_map(differs).collect();
    if different.is_empty() {
        return Ok(found(name, "as the repository says"));
    }
    Ok(lacks(name, format!("differs in {}", different.join(", ")), hint))
}

fn secret(name: &'static str, key: &str, answer: Result<Value, String>) -> Finding {
    match answer {
        Ok(secret) if secret["data"][key].as_str().is_some_and(|value| !value.is_empty()) => {
            found(name, key)
        }
        Ok(_) => lacks(name, format!("{key} is not set"), "docs/adopt.md, 4"),
        Err(error) => lacks(name, error, INSTALL),
    }
}

/// Every environment with an Application in the repository has it in the cluster, from this repository.
fn synced(
    identity: &Identity,
    environments: &Environments,
    repo: &Repo,
    answer: Result<Value, String>,
) -> Finding {
    const NAME: &str = "Applications";
    const HINT: &str = "kubectl apply -f argocd/root.yaml";
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return lacks(NAME, error, HINT),
    };
    let mut told = Vec::new();
    for environment in environments.iter() {
        if !repo.path(&format!("argocd/apps/{environment}.yaml")).is_file() {
            continue;
        }
        let name = format!("{}-{environment}", identity.prefix);
        let applications = list(&answer["items"]);
        let Some(application) = applications.iter().find(|one| one["metadata"]["name"] == *name)
        else {
            return lacks(NAME, format!("{name} is not there"), HINT);
        };
        if application["spec"]["source"]["repoURL"] != *identity.repository {
            return lacks(
                NAME,
                format!("{name} syncs another repository"),
                "cargo xtask init, then push",
            );
        }
        told.push(format!(
            "{environment}: {}, {}",
            application["status"]["sync"]["status"].as_str().unwrap_or("never synced"),
            application["status"]["health"]["status"].as_str().unwrap_or("of unknown health"),
        ));
    }
    found(NAME, told.join("; "))
}
