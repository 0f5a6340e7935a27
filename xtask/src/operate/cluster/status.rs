//! `cluster status`: Git beside the cluster, one paragraph per environment.

use std::collections::BTreeMap;

use gitops::environment::Environment;
use gitops::history::{History, Standing};
use gitops::pin::Pinned;
use serde_json::Value;

use super::Context;
use crate::deliver::remote::Remote;
use crate::identity::Identity;
use crate::rendered::list;
use crate::repo::Repo;
use crate::report::data;
use crate::tools::kubectl::Kubectl;

/// What main pins for every environment, and what the cluster really runs
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) context: Context,
    #[command(flatten)]
    pub(super) remote: Remote,
}

/// Of pods that answer requests.
const SERVICE: &str = "app.kubernetes.io/component=service";

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let kubectl = self.context.kubectl(repo)?;
        let identity = Identity::read(repo)?;
        let snapshot = self.remote.snapshot(repo)?;
        for environment in snapshot.environments().iter() {
            let history = snapshot.history(environment);
            data(environment);
            data(format_args!("  Git      {}", pinned(&history)));
            let name = format!("{}-{environment}", identity.prefix);
            match application(&kubectl, &name) {
                Some(application) => {
                    data(format_args!("  Argo CD  {}", synced(&application, &history)));
                    data(format_args!("  pods     {}", pods(&kubectl, &application, environment)));
                }
                None => data(format_args!("  Argo CD  no Application {name}")),
            }
        }
        Ok(())
    }
}

pub(super) fn application(kubectl: &Kubectl, name: &str) -> Option<Value> {
    kubectl.find(&["application.argoproj.io", name, "--namespace", "argocd"])
}

/// Where an Application deploys to.
pub(super) fn namespace(application: &Value) -> Option<&str> {
    application["spec"]["destination"]["namespace"].as_str()
}

fn pinned(history: &History) -> String {
    let pinned = history.head().map_or(Pinned::Missing, |head| history.pinned(head));
    match history.standing() {
        Standing::Unreleased => "unreleased".to_owned(),
        Standing::Verified(head) => format!("{pinned}, verified, since {}", head.commit.short()),
        Standing::Waiting(head) => format!("{pinned}, not verified, since {}", head.commit.short()),
    }
}

fn synced(application: &Value, history: &History) -> String {
    let status = &application["status"];
    let text = |value: &Value, none: &str| value.as_str().unwrap_or(none).to_owned();
    let operation = &status["operationState"];
    let revision = text(&operation["syncResult"]["revision"], "nothing");
    let runs = revision.parse().ok().and_then(|revision| history.change_at(revision));
    let newest = match (runs, history.head()) {
        (Some(runs), Some(head)) if runs.commit == head.commit => ", the newest change",
        (Some(_), _) => ", an older change",
        (None, _) => ", no change that main knows",
    };
    format!(
        "{} at {}{newest}; sync {}, health {}{}",
        text(&operation["phase"], "never synced"),
        revision.get(..12).unwrap_or(&revision),
        text(&status["sync"]["status"], "unknown"),
        text(&status["health"]["status"], "unknown"),
        match operation["message"].as_str() {
            Some(message) if operation["phase"] != "Succeeded" => format!("\n           {message}"),
            _ => String::new(),
        }
    )
}

/// How many are ready, by image.
fn pods(kubectl: &Kubectl, application: &Value, environment: &Environment) -> String {
    let namespace = namespace(application).unwrap_or(environment.name());
    let Some(pods) = kubectl.find(&["pods", "--namespace", namespace, "--selector", SERVICE])
    else {
        return "cannot be listed".to_owned();
    };
    let mut versions: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for pod in list(&pods["items"]) {
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or("no image");
        let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
        let version = name.split_once('@').map_or(name, |(name, _)| name);
        let (ready, all) = versions.entry(version).or_default();
        *all += 1;
        let conditions = list(&pod["status"]["conditions"]);
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        *ready += usize::from(conditions.iter().any(is_ready));
    }
    if versions.is_empty() {
        return "none".to_owned();
    }
    let told =
        versions.iter().map(|(version, (ready, all))| format!("{ready}/{all} ready of {version}"));
    told.collect::<Vec<_>>().join(", ")
}
