//! What is applied by hand, beside the Applications that the root holds: regions in place of one of those, and
//! the monitoring of all environments. Who needs none has no such file.

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environment;
use serde_json::json;

use super::{is_safe, points_here, runs};
use crate::identity::{Identity, MONITORING, REGIONS};
use crate::rendered::{Object, Objects, list, texts};
use crate::repo::Repo;
use crate::tools::kustomize;

fn read(repo: &Repo, file: &str) -> anyhow::Result<Objects> {
    if !repo.path(file).is_file() {
        return Ok(Objects::parse("")?);
    }
    let text = fs::read_to_string(repo.path(file))?;
    Objects::parse(&text).with_context(|| format!("`{file}` is no YAML"))
}

/// Each region's Application keeps the rules of any other.
pub(super) fn regions(
    repo: &Repo,
    identity: &Identity,
    rendered: &[(Environment, Objects)],
    found: &mut Vec<String>,
) -> anyhow::Result<()> {
    for set in read(repo, REGIONS)?.of("ApplicationSet") {
        let mut mistake = |text: String| found.push(format!("{REGIONS}: {text}"));
        let template = set.at("/spec/template");
        let application = json!({ "kind": "Application", "metadata": template["metadata"],
            "spec": template["spec"] });
        let applications = Objects::parse(&application.to_string())?;
        for application in applications.all() {
            points_here(application, identity, &mut mistake);
            is_safe(application, &mut mistake);
            let named = application.at("/metadata/labels")["env"].as_str().unwrap_or_default();
            match rendered.iter().find(|(known, _)| known.name() == named) {
                Some((known, objects)) => runs(application, known, objects, &mut mistake),
                None => {
                    mistake(format!("its label `env` must name an environment, and is `{named}`"));
                }
            }
        }
        if *set.at("/spec/syncPolicy/preserveResourcesOnDeletion") != json!(true) {
            mistake(
                "syncPolicy.preserveResourcesOnDeletion must be true: without, a region that is \
                 taken off the list takes its pods along"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

pub(super) fn monitoring(
    repo: &Repo,
    identity: &Identity,
    found: &mut Vec<String>,
) -> anyhow::Result<()> {
    let objects = read(repo, MONITORING)?;
    let own = Identity { prefix: identity.monitoring(), ..identity.clone() };
    for application in objects.of("Application") {
        let mut mistake = |text: String| found.push(format!("{MONITORING}: {text}"));
        points_here(application, &own, &mut mistake);
        if !application.at("/metadata/labels")["env"].is_null() {
            mistake(
                "it must have no label `env`: its end would be taken for a release's".to_owned(),
            );
        }
        let Some(project) = objects.find("AppProject", &own.prefix) else {
            mistake(format!("no AppProject `{}` in it", own.prefix));
            continue;
        };
        if texts(project.at("/spec/sourceRepos")) != [identity.repository.as_str()] {
            mistake(format!("sourceRepos must be {} alone", identity.repository));
        }
        let path = application.text("/spec/source/path");
        match kustomize::build(&repo.path(path))? {
            Err(error) => mistake(format!("{path} cannot be rendered: {error}")),
            Ok(manifests) => {
                let synced =
                    Objects::parse(&manifests).context("reading what kustomize printed")?;
                for object in synced.all() {
                    let (group, _) = object.text("/apiVersion").split_once('/').unwrap_or_default();
                    let kind = json!({ "group": group, "kind": object.kind() });
                    if !list(project.at("/spec/namespaceResourceWhitelist")).contains(&kind) {
                        mistake(format!("its project does not allow {kind}, which {path} renders"));
                    }
                    hears_this_fork(object, identity, &mut mistake);
                }
            }
        }
    }
    Ok(())
}

/// Alerts link to pages of this repository and ask about Applications of its project.
fn hears_this_fork(object: &Object, identity: &Identity, mistake: &mut impl FnMut(String)) {
    let rules = object.list("/spec/groups").iter().flat_map(|group| list(&group["rules"]));
    for rule in rules {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap_or_default();
        let runbook = &rule["annotations"]["runbook_url"];
        if let Some(runbook) = runbook.as_str()
            && !runbook.starts_with(&identity.pages())
        {
            mistake(format!("{name}: runbook_url leads elsewhere than to {}", identity.pages()));
        }
        let asks = rule["expr"].as_str().unwrap_or_default();
        if asks.replace(&identity.selector(), "").contains("project=") {
            mistake(format!("{name}: it must ask for {}", identity.selector()));
        }
    }
}
