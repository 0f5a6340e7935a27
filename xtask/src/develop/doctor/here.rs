//! This machine.

use super::{Finding, ask, found, lacks};
use crate::libtorch;
use crate::repo::{Repo, read_task};

/// Program, how it says its version, who needs it, how to get it.
const PROGRAMS: [(&str, &[&str], &str, &str); 9] = [
    ("git", &["--version"], "everything", "apt-get install git"),
    ("c++", &["--version"], "serve, train", "apt-get install g++"),
    ("python3", &["-m", "pip", "--version"], "setup, once", "apt-get install python3-pip"),
    ("go", &["version"], "manifests, demo", "install Go 1.26 or newer: https://go.dev/dl"),
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
        "doctor --cluster",
        "https://kubernetes.io/docs/tasks/tools",
    ),
];

pub(super) fn findings(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, args, user, hint) in PROGRAMS {
        findings.push(match ask(repo, name, args) {
            Ok(said) => {
                let numbered = |line: &&str| line.contains(char::is_numeric);
                found(name, said.lines().find(numbered).unwrap_or_default())
            }
            Err(_) => lacks(name, format!("needed by: {user}"), hint),
        });
    }
    findings.push(match ask(repo, "git", &["config", "user.email"]) {
        Ok(email) => found("git identity", email),
        Err(_) => {
            lacks("git identity", "releases are commits", "git config user.email YOU@EXAMPLE.ORG")
        }
    });
    findings.push(match ask(repo, "git", &["remote", "get-url", "origin"]) {
        Ok(address) => found("git origin", without_user(&address)),
        Err(_) => {
            lacks("git origin", "release and promote push to it", "git remote add origin URL")
        }
    });
    findings.push(match libtorch::in_use(repo) {
        folder if folder.join("lib").is_dir() => found("libtorch", folder.display().to_string()),
        _ => lacks("libtorch", "needed by: serve, train", "cargo xtask setup"),
    });
    findings.push(match read_task(&repo.task_file()) {
        Ok(task) => found("task", format!("{}, {} classes", task.name, task.classes.len())),
        Err(error) => lacks("task", format!("{error:#}"), "docs/own-model.md"),
    });
    findings
}

/// An address may hold a token.
fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let host = rest.split_once('@').map_or(rest, |(_user, host)| host);
    format!("{scheme}://{host}")
}
