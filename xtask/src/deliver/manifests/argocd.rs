//! What `argocd/` must say for the loop to work: each rule names a way in which releases would go nowhere, or
//! go bad unnoticed. It is also what proves that `init` has missed no file.

mod aside;
mod projects;
mod settings;

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environment;
use gitops::pin::Pinned;
use serde_json::{Value, json};

use crate::identity::{APPLICATIONS, Identity, PROJECT, REGIONS, ROOT};
use crate::rendered::{Object, Objects, list, texts};
use crate::repo::Repo;
use crate::tools::kustomize;

const RELEASE: &str = ".github/workflows/release.yml";
const FOLDER: &str = "argocd";
/// Where Argo CD looks for Applications.
const NAMESPACE: &str = "argocd";

/// Nothing where a tree has no `argocd/`.
pub(super) fn mistakes(
    repo: &Repo,
    rendered: &[(Environment, Objects)],
) -> anyhow::Result<Vec<String>> {
    if !repo.path(FOLDER).is_dir() {
        return Ok(Vec::new());
    }
    if !repo.path(ROOT).is_file() {
        return Ok(vec![format!("{ROOT} is gone; without Argo CD, remove all of {FOLDER}/")]);
    }
    let identity = Identity::read(repo)?;
    let mut found = Vec::new();
    the_registry_takes_our_images(&identity, &mut found);
    settings::mistakes(repo, &identity, &mut found)?;
    aside::regions(repo, &identity, rendered, &mut found)?;
    aside::monitoring(repo, &identity, &mut found)?;
    // As the root's Application renders it: a file that the kustomization does not list is not there.
    let applied = match kustomize::build(&repo.path(APPLICATIONS))? {
        Ok(applied) => Objects::parse(&applied).context("reading what kustomize printed")?,
        Err(error) => {
            found.push(format!("{APPLICATIONS} cannot be rendered: {error}"));
            return Ok(found);
        }
    };
    let root = read(repo, ROOT)?;
    projects::root(&root, &applied, &identity, &mut found);
    if let Some(project) = projects::only(&applied, PROJECT, &identity.prefix, &mut found) {
        projects::lets_everything_in(project, PROJECT, &identity, &mut found);
        let (synced, mut destinations) =
            applications(&applied, project, &identity, rendered, &mut found);
        destinations.extend(of_regions(repo)?);
        projects::destinations_are_used(project, &destinations, &mut found);
        projects::kinds_are_allowed(project, PROJECT, &synced, &mut found);
    }
    Ok(found)
}

fn read(repo: &Repo, file: &str) -> anyhow::Result<Objects> {
    let text = fs::read_to_string(repo.path(file))?;
    Objects::parse(&text).with_context(|| format!("`{file}` is no YAML"))
}

/// What each environment's own Application deploys, and where to.
fn applications<'a>(
    applied: &'a Objects,
    project: &Object,
    identity: &Identity,
    rendered: &'a [(Environment, Objects)],
    found: &mut Vec<String>,
) -> (Vec<&'a Objects>, Vec<Value>) {
    let (mut synced, mut destinations) = (Vec::new(), Vec::new());
    for application in applied.of("Application") {
        let title = application.title();
        let mut mistake = |text: String| found.push(format!("{APPLICATIONS}: {title}: {text}"));
        points_here(application, identity, &mut mistake);
        is_safe(application, &mut mistake);
        let environment = application.at("/metadata/labels")["env"].as_str().unwrap_or_default();
        let Some((known, objects)) = rendered.iter().find(|(known, _)| known.name() == environment)
        else {
            mistake(format!("its label `env` must name an environment, and is `{environment}`"));
            continue;
        };
        is_named(application, &identity.environment(known.name()), &mut mistake);
        runs(application, known, objects, &mut mistake);
        let destination = application.at("/spec/destination");
        if !list(project.at("/spec/destinations")).contains(destination) {
            mistake(format!("{PROJECT} does not let it deploy to {destination}"));
        }
        synced.push(objects);
        destinations.push(destination.clone());
    }
    (synced, destinations)
}

/// Where the Applications go that regions have in place of an environment's own.
fn of_regions(repo: &Repo) -> anyhow::Result<Vec<Value>> {
    let mut destinations = Vec::new();
    if repo.path(REGIONS).is_file() {
        for set in read(repo, REGIONS)?.of("ApplicationSet") {
            let namespace = set.text("/spec/template/spec/destination/namespace");
            for element in set.list("/spec/generators/0/list/elements") {
                destinations.push(json!({ "name": element["cluster"], "namespace": namespace }));
            }
        }
    }
    Ok(destinations)
}

/// GitHub's registry takes what a workflow pushes only below its repository's owner, in small letters.
fn the_registry_takes_our_images(identity: &Identity, found: &mut Vec<String>) {
    let Some(name) = identity.image.strip_prefix("ghcr.io/") else { return };
    let owner = identity.slug().split('/').next().unwrap_or_default().to_lowercase();
    if name.split('/').next() != Some(&owner) {
        let image = &identity.image;
        found.push(format!("{RELEASE}: IMAGE must be below ghcr.io/{owner}/, and is `{image}`"));
    }
}

/// What an earlier name left behind. No mistake: the next release takes the new one.
pub(super) fn pinned_elsewhere(
    repo: &Repo,
    pins: &[(Environment, Pinned)],
) -> anyhow::Result<Vec<String>> {
    if !repo.path(ROOT).is_file() {
        return Ok(Vec::new());
    }
    let ours = Identity::read(repo)?.image;
    let synced = |environment: &&(Environment, Pinned)| {
        repo.path(&format!("{APPLICATIONS}/{}.yaml", environment.0)).is_file()
    };
    let others = pins.iter().filter(synced).filter_map(|(environment, pinned)| {
        let image = pinned.pin()?.image.repository();
        let told = || format!("{environment}: pins {image}, and {RELEASE} pushes to {ours}");
        (image != ours).then(told)
    });
    Ok(others.collect())
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

/// Reports name an Application, and Argo CD sees those of its own namespace only.
fn is_named(object: &Object, name: &str, mistake: &mut impl FnMut(String)) {
    for (field, wanted) in [("name", name), ("namespace", NAMESPACE)] {
        if object.text(&format!("/metadata/{field}")) != wanted {
            mistake(format!("metadata.{field} must be {wanted}"));
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
    is_automated(application, mistake);
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
    for (trigger, _) in settings::REPORTS {
        let subscription = format!("notifications.argoproj.io/subscribe.{trigger}.gitops");
        if application.annotation(&subscription).is_none() {
            mistake(format!("without the annotation {subscription} nobody hears of it"));
        }
    }
}

fn is_automated(application: &Object, mistake: &mut impl FnMut(String)) {
    if *application.at("/spec/syncPolicy/automated/enabled") == json!(false) {
        mistake("syncPolicy.automated.enabled must not be false: nothing would sync".to_owned());
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
