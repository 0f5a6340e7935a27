//! What `argocd/` must say for the loop to work: each rule names a way in which releases would go nowhere, or
//! go bad unnoticed. It is also what proves that `init` has missed no file.

mod aside;

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environment;
use serde_json::{Value, json};

use crate::identity::{APPLICATIONS, Identity, NOTIFICATIONS, PROJECT, ROOT};
use crate::rendered::{Object, Objects, list, texts};
use crate::repo::Repo;

/// Kinds of the overlays that belong to no namespace.
const CLUSTER_KINDS: [&str; 1] = ["Namespace"];
const TRIGGERS: [&str; 3] = ["release-failed", "release-deployed", "release-unrenderable"];

/// Nothing where a tree has no `argocd/`.
pub(super) fn mistakes(
    repo: &Repo,
    rendered: &[(Environment, Objects)],
) -> anyhow::Result<Vec<String>> {
    if !repo.path(ROOT).is_file() {
        return Ok(Vec::new());
    }
    let identity = Identity::read(repo)?;
    let read = |file: &str| -> anyhow::Result<Objects> {
        let text = fs::read_to_string(repo.path(file))?;
        Objects::parse(&text).with_context(|| format!("`{file}` is no YAML"))
    };
    let mut found = Vec::new();
    let project = read(PROJECT)?;
    let project =
        project.of("AppProject").next().context("no AppProject in argocd/apps/project.yaml")?;
    let mut synced = Vec::new();
    for entry in fs::read_dir(repo.path(APPLICATIONS))? {
        let file = format!("{APPLICATIONS}/{}", entry?.file_name().display());
        let objects = read(&file)?;
        for application in objects.of("Application") {
            let mut mistake = |text: String| found.push(format!("{file}: {text}"));
            points_here(application, &identity, &mut mistake);
            is_safe(application, &mut mistake);
            let environment =
                application.at("/metadata/labels")["env"].as_str().unwrap_or_default();
            let Some((known, objects)) =
                rendered.iter().find(|(known, _)| known.name() == environment)
            else {
                mistake(format!(
                    "its label `env` must name an environment, and is `{environment}`"
                ));
                continue;
            };
            runs(application, known, objects, &mut mistake);
            let destination = application.at("/spec/destination");
            if !list(project.at("/spec/destinations")).contains(destination) {
                mistake(format!("{PROJECT} does not let it deploy to {destination}"));
            }
            synced.push(objects);
        }
    }
    aside::regions(repo, &identity, rendered, &mut found)?;
    aside::monitoring(repo, &identity, &mut found)?;
    kinds_are_allowed(project, &synced, &mut found);
    for (file, objects) in [(PROJECT, read(PROJECT)?), (ROOT, read(ROOT)?)] {
        for project in objects.of("AppProject") {
            if texts(project.at("/spec/sourceRepos")) != [identity.repository.as_str()] {
                found.push(format!("{file}: sourceRepos must be {} alone", identity.repository));
            }
        }
    }
    let notifications = read(NOTIFICATIONS)?;
    for settings in notifications.of("ConfigMap") {
        reports_arrive(settings, &identity, &mut found);
    }
    Ok(found)
}

fn points_here(application: &Object, identity: &Identity, mistake: &mut impl FnMut(String)) {
    for (field, wanted) in [
        ("source/repoURL", identity.repository.as_str()),
        ("source/targetRevision", "main"),
        ("project", identity.prefix.as_str()),
    ] {
        let present = application.text(&format!("/spec/{field}"));
        if present != wanted {
            mistake(format!("{} must be {wanted}, and is `{present}`", field.replace('/', ".")));
        }
    }
}

fn is_safe(application: &Object, mistake: &mut impl FnMut(String)) {
    for (pointer, wanted, why) in [
        ("/automated/prune", json!(true), "what a revert removes must go"),
        ("/automated/selfHeal", json!(true), "what runs must be what main pins"),
        ("/retry/limit", json!(0), "a retry hides or swallows the report of a bad release"),
    ] {
        if *application.at(&format!("/spec/syncPolicy{pointer}")) != wanted {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            mistake(format!("syncPolicy.{field} must be {wanted}: {why}"));
        }
    }
    if texts(application.at("/spec/syncPolicy/syncOptions")).contains(&"ApplyOutOfSyncOnly=true") {
        mistake(
            "ApplyOutOfSyncOnly lets the smoke test meet pods of the version before".to_owned(),
        );
    }
    if application.annotation("argocd.argoproj.io/manifest-generate-paths").is_some() {
        mistake(
            "manifest-generate-paths can take a new commit for synced, without a smoke test"
                .to_owned(),
        );
    }
    for trigger in TRIGGERS {
        let subscription = format!("notifications.argoproj.io/subscribe.{trigger}.gitops");
        if application.annotation(&subscription).is_none() {
            mistake(format!("without the annotation {subscription} nobody hears of it"));
        }
    }
}

/// Its path, namespace and environment are one.
fn runs(
    application: &Object,
    environment: &Environment,
    objects: &Objects,
    mistake: &mut impl FnMut(String),
) {
    if application.text("/spec/source/path") != environment.overlay() {
        mistake(format!("source.path must be {}", environment.overlay()));
    }
    let namespace = objects.of("Namespace").next().map_or("", Object::name);
    if application.text("/spec/destination/namespace") != namespace {
        mistake(format!("destination.namespace must be {namespace}, which the overlay renders"));
    }
}

/// What the project allows is what is rendered: less stops a sync, more is more than is needed.
fn kinds_are_allowed(project: &Object, synced: &[&Objects], found: &mut Vec<String>) {
    let mut wanted: [Vec<Value>; 2] = Default::default();
    for object in synced.iter().flat_map(|objects| objects.all()) {
        let group = object.text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
        let kind = json!({ "group": group, "kind": object.kind() });
        let list = &mut wanted[usize::from(!CLUSTER_KINDS.contains(&object.kind()))];
        if !list.contains(&kind) {
            list.push(kind);
        }
    }
    let lists = ["clusterResourceWhitelist", "namespaceResourceWhitelist"];
    for (name, wanted) in lists.into_iter().zip(wanted) {
        let allowed = list(project.at(&format!("/spec/{name}")));
        for kind in wanted.iter().filter(|kind| !allowed.contains(kind)) {
            found.push(format!("{PROJECT}: {name} lacks {kind}, which an overlay renders"));
        }
        for kind in allowed.iter().filter(|kind| !wanted.contains(kind)) {
            found.push(format!("{PROJECT}: {name} allows {kind}, which no overlay renders"));
        }
    }
}

fn reports_arrive(settings: &Object, identity: &Identity, found: &mut Vec<String>) {
    let data = settings.at("/data").as_object().into_iter().flatten();
    for (key, value) in data {
        let value = value.as_str().unwrap_or_default();
        if key.starts_with("trigger.") && value.contains("oncePer") {
            found.push(format!(
                "{NOTIFICATIONS}: {key}: with oncePer a missed report is lost for good"
            ));
        }
        let api = identity.api();
        if key == "service.webhook.gitops" && value.contains("/repos/") && !value.contains(&api) {
            found.push(format!("{NOTIFICATIONS}: {key}: reports go elsewhere than to {api}"));
        }
    }
}
