//! What Argo CD's projects allow, and the Application that holds the others.

use serde_json::{Value, json};

use super::{NAMESPACE, is_automated, is_named, points_here};
use crate::identity::{APPLICATIONS, Identity, PROJECT, ROOT};
use crate::rendered::{Object, Objects, list, texts};

/// Kinds of the overlays that belong to no namespace.
const CLUSTER_KINDS: [&str; 1] = ["Namespace"];

/// The project of that name; another one beside it would be nobody's.
pub(super) fn only<'a>(
    objects: &'a Objects,
    file: &str,
    name: &str,
    found: &mut Vec<String>,
) -> Option<&'a Object> {
    let projects: Vec<&Object> = objects.of("AppProject").collect();
    let [project] = projects.as_slice() else {
        found.push(format!("{file}: {} AppProjects, it must be exactly one", projects.len()));
        return None;
    };
    is_named(project, name, &mut |text| found.push(format!("{file}: {text}")));
    Some(project)
}

pub(super) fn root(
    root: &Objects,
    applied: &Objects,
    identity: &Identity,
    found: &mut Vec<String>,
) {
    let own = Identity { prefix: identity.root(), ..identity.clone() };
    let project = only(root, ROOT, &own.prefix, found);
    let Some(application) = root.of("Application").next() else { return };
    let mut mistake = |text: String| found.push(format!("{ROOT}: {text}"));
    points_here(application, &own, &mut mistake);
    is_named(application, &own.prefix, &mut mistake);
    is_automated(application, &mut mistake);
    for (field, wanted, why) in [
        ("source/path", json!(APPLICATIONS), "that is where the environments are"),
        ("destination/namespace", json!(NAMESPACE), "Argo CD looks nowhere else"),
        ("syncPolicy/automated/selfHeal", json!(true), "main says which Applications there are"),
        (
            "syncPolicy/automated/prune",
            json!(false),
            "a file that is gone by mistake would take an environment with it",
        ),
    ] {
        if *application.at(&format!("/spec/{field}")) != wanted {
            mistake(format!("{} must be {wanted}: {why}", field.replace('/', ".")));
        }
    }
    if let Some(project) = project {
        let destination = application.at("/spec/destination");
        if !list(project.at("/spec/destinations")).contains(destination) {
            mistake(format!("its project does not let it deploy to {destination}"));
        }
        lets_everything_in(project, ROOT, identity, found);
        kinds_are_allowed(project, ROOT, &[applied], found);
    }
}

/// From this repository alone, and at any time.
pub(super) fn lets_everything_in(
    project: &Object,
    file: &str,
    identity: &Identity,
    found: &mut Vec<String>,
) {
    if texts(project.at("/spec/sourceRepos")) != [identity.repository.as_str()] {
        found.push(format!("{file}: sourceRepos must be {} alone", identity.repository));
    }
    for field in ["syncWindows", "clusterResourceBlacklist", "namespaceResourceBlacklist"] {
        if !list(project.at(&format!("/spec/{field}"))).is_empty() {
            found.push(format!(
                "{file}: {field} must be empty: what denies a release denies its revert too"
            ));
        }
    }
    for gate in ["signatureKeys", "sourceIntegrity"] {
        if !project.at(&format!("/spec/{gate}")).is_null() {
            found.push(format!("{file}: {gate}: the bot signs no commit, so none is synced"));
        }
    }
}

/// Else the environment there has lost its Application, and its releases go nowhere.
pub(super) fn destinations_are_used(project: &Object, used: &[Value], found: &mut Vec<String>) {
    for destination in list(project.at("/spec/destinations")) {
        if !used.contains(destination) {
            found.push(format!(
                "{PROJECT}: nothing in {APPLICATIONS}/kustomization.yaml deploys to {destination}"
            ));
        }
    }
}

/// What a project allows is what is rendered: less stops a sync, more is more than is needed.
pub(super) fn kinds_are_allowed(
    project: &Object,
    file: &str,
    synced: &[&Objects],
    found: &mut Vec<String>,
) {
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
            found.push(format!("{file}: {name} lacks {kind}, which an overlay renders"));
        }
        for kind in allowed.iter().filter(|kind| !wanted.contains(kind)) {
            found.push(format!("{file}: {name} allows {kind}, which no overlay renders"));
        }
    }
}
