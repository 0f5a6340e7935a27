//! Settings of Argo CD that the loop relies on, above all that its reports arrive: each at the workflow that
//! handles it, with a token that may start it.

use fs_err as fs;
use serde_json::Value;

use super::read;
use crate::identity::{Identity, NOTIFICATIONS};
use crate::rendered::{Object, list, texts};
use crate::repo::Repo;

/// Triggers, which are templates too, and the workflow that each report starts.
pub(super) const REPORTS: [(&str, &str); 3] = [
    ("release-failed", "rollback.yml"),
    ("release-deployed", "deployed.yml"),
    ("release-unrenderable", "rollback.yml"),
];
/// As docs/adopt.md tells to put it into the cluster.
const TOKEN: &str = "Bearer $gitops-token";
const SETTINGS: [(&str, &[&str]); 2] = [
    (
        "argocd-cm",
        &[
            "timeout.reconciliation",
            "resource.customizations.useOpenLibs.autoscaling_HorizontalPodAutoscaler",
            "resource.customizations.health.autoscaling_HorizontalPodAutoscaler",
        ],
    ),
    ("argocd-cmd-params-cm", &["controller.sync.timeout.seconds"]),
];

pub(super) fn mistakes(
    repo: &Repo,
    identity: &Identity,
    found: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (name, keys) in SETTINGS {
        let file = format!("argocd/install/{name}.yaml");
        let settings = read(repo, &file)?;
        let settings = settings.find("ConfigMap", name);
        for key in keys {
            let value = settings.and_then(|settings| settings.at("/data")[key].as_str());
            // Zero is no limit at all.
            if value.is_none_or(|value| value.is_empty() || value == "0") {
                found.push(format!("{file}: {key} is not set; argocd/README.md says why it must"));
            }
        }
    }
    let notifications = read(repo, NOTIFICATIONS)?;
    let mut mistake = |text: String| found.push(format!("{NOTIFICATIONS}: {text}"));
    match notifications.find("ConfigMap", "argocd-notifications-cm") {
        None => mistake("there is no ConfigMap/argocd-notifications-cm".to_owned()),
        Some(settings) => reports_arrive(repo, settings, identity, &mut mistake),
    }
    Ok(())
}

fn reports_arrive(
    repo: &Repo,
    settings: &Object,
    identity: &Identity,
    mistake: &mut impl FnMut(String),
) {
    let part = |key: &str| -> Option<Value> {
        serde_yaml::from_str(settings.at("/data")[key].as_str()?).ok()
    };
    let by_github = match part("service.webhook.gitops") {
        None => {
            mistake("service.webhook.gitops is missing, or no YAML".to_owned());
            false
        }
        Some(service) => goes_here(&service, identity, mistake),
    };
    for (name, workflow) in REPORTS {
        let trigger = part(&format!("trigger.{name}")).unwrap_or_default();
        let sends = |rule: &Value| texts(&rule["send"]).contains(&name);
        if list(&trigger).is_empty() || !list(&trigger).iter().all(sends) {
            mistake(format!("trigger.{name} must be there and send {name}"));
        }
        let template = part(&format!("template.{name}")).unwrap_or_default();
        let webhook = &template["webhook"]["gitops"];
        let path = format!("/{workflow}/dispatches");
        if webhook["path"] != *path || webhook["method"] != "POST" {
            mistake(format!("template.{name} must POST to {path}"));
        }
        if !webhook["body"].as_str().unwrap_or_default().contains(&format!("\"argocd-{name}\"")) {
            mistake(format!("template.{name} must send the event argocd-{name}"));
        }
        if by_github && !takes_a_report(repo, workflow) {
            mistake(format!(
                "template.{name}: .github/workflows/{workflow} is gone, or no workflow_dispatch \
                 with an input `report`"
            ));
        }
    }
    for (key, value) in settings.at("/data").as_object().into_iter().flatten() {
        if key.starts_with("trigger.") && value.as_str().unwrap_or_default().contains("oncePer") {
            mistake(format!("{key}: with oncePer a missed report is lost for good"));
        }
    }
}

/// Whether GitHub is asked to start a workflow; another receiver has an address of its own.
fn goes_here(service: &Value, identity: &Identity, mistake: &mut impl FnMut(String)) -> bool {
    let key = "service.webhook.gitops";
    let url = service["url"].as_str().unwrap_or_default();
    if !url.starts_with("https://") && !url.starts_with("http://") {
        mistake(format!("{key}: `{url}` is no address"));
    }
    let by_github = url.contains("/repos/") || url.contains("api.github.com");
    if by_github {
        let wanted = format!("{}actions/workflows", identity.api());
        if url != wanted {
            mistake(format!("{key}: reports go elsewhere than to {wanted}"));
        }
        let mut headers = list(&service["headers"]).iter();
        if !headers.any(|header| header["name"] == "Authorization" && header["value"] == TOKEN) {
            mistake(format!("{key}: its Authorization must be `{TOKEN}`"));
        }
    }
    by_github
}

fn takes_a_report(repo: &Repo, workflow: &str) -> bool {
    let text = fs::read_to_string(repo.path(&format!(".github/workflows/{workflow}")));
    let workflow: Value =
        text.ok().and_then(|text| serde_yaml::from_str(&text).ok()).unwrap_or_default();
    workflow["on"]["workflow_dispatch"]["inputs"]["report"].is_object()
}
