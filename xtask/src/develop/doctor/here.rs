//! This machine.

use super::{Finding, ask, finding};
use crate::libtorch;
use crate::repo::{Repo, read_task};

/// Program, how it says its version, who needs it, how to get it.
const PROGRAMS: [(&str, &[&str], &str, &str); 9] = [
    ("git", &["--version"], "everything", "apt-get install git"),
    ("c++", &["--version"], "serve, train", "apt-get install g++"),
    ("python3", &["-m", "pip", "--version"], "setup, once", "apt-get install python3-pip"),
    (
        "go",
        &["version"],
        "manifests, demo, image scan",
        "install Go 1.26 or newer: https://go.dev/dl",
    ),
    (
        "docker",
        &["version", "--format", "{{.Server.Version}}"],
        "release, without --layout",
        "install Docker and start it: https://docs.docker.com/engine/install",
    ),
    (
        "argocd",
        &["version", "--client", "--short"],
        "test",
        "put argocd v3.5.3 on PATH, from the releases of argoproj/argo-cd",
    ),
    ("shellcheck", &["--version"], "test", "apt-get install shellcheck"),
    ("gh", &["--version"], "doctor --github", "https://cli.github.com"),
    (
        "kubectl",
        &["version", "--client"],
        "doctor --cluster, test",
        "https://kubernetes.io/docs/tasks/tools",
    ),
];

pub(super) fn findings(repo: &Repo) -> Vec<Finding> {
    let mut findings: Vec<Finding> = PROGRAMS
        .into_iter()
        .map(|(name, args, user, hint)| {
            let version = ask(repo, name, args).map(|said| {
                let numbered = |line: &&str| line.contains(char::is_numeric);
                said.lines().find(numbered).unwrap_or_default().to_owned()
            });
            finding(name, version.map_err(|_absent| format!("needed by: {user}")), hint)
        })
        .collect();
    let git = |args: &[&str], user: &str| ask(repo, "git", args).map_err(|_unset| user.to_owned());
    let origin = git(&["remote", "get-url", "origin"], "release and promote push to it");
    let libtorch = libtorch::in_use(repo);
    let libtorch = if libtorch.join("lib").is_dir() {
        Ok(libtorch.display().to_string())
    } else {
        Err("needed by: serve, train".to_owned())
    };
    let task = read_task(&repo.task_file());
    findings.extend([
        finding(
            "git identity",
            git(&["config", "user.email"], "releases are commits"),
            "git config user.email YOU@EXAMPLE.ORG",
        ),
        finding(
            "git origin",
            origin.map(|address| without_user(&address)),
            "git remote add origin URL",
        ),
        finding("libtorch", libtorch, "cargo xtask setup"),
        finding(
            "task",
            task.map(|task| format!("{}, {} classes", task.name, task.classes.len()))
                .map_err(|error| format!("{error:#}")),
            "docs/own-model.md",
        ),
    ]);
    findings
}

/// An address may hold a token.
fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let host = rest.split_once('@').map_or(rest, |(_user, host)| host);
    format!("{scheme}://{host}")
}
