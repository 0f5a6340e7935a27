//! `manifests`: what every environment would run, rendered and checked before anything is committed.

mod argocd;
mod rules;

use anyhow::{Context, bail};
use fs_err as fs;
use gitops::environment::{Environment, Environments, Part, SIGNING};
use gitops::pin::{InvalidPin, Pinned};
use gitops::signing::{Signing, UnreadableSigning};

use crate::rendered::Objects;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::{kubeconform, kustomize};

/// Render and check what the environments run
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print the manifests of one environment, as Argo CD applies them
    Render {
        /// Name of a folder in kustomize/overlays
        environment: String,
    },
    /// Check every environment: it renders, fits the schemas, keeps our rules
    ///
    /// All mistakes are told together. The rules are those that a schema cannot know: what would
    /// stop a release, or its rollback, only once it is under way.
    Check,
}

impl Command {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Render { environment } => render(repo, &environment),
            Self::Check => check(repo),
        }
    }
}

fn render(repo: &Repo, name: &str) -> anyhow::Result<()> {
    let environment = environments(repo)?
        .parse(name)
        .hint("an environment is a folder in kustomize/overlays with a `release` folder")?;
    let rendered = kustomize::build(&repo.path(&environment.overlay()))?;
    match rendered {
        Ok(manifests) => {
            data(manifests.trim_end());
            Ok(())
        }
        Err(error) => bail!("{} cannot be rendered: {error}", environment.overlay()),
    }
}

/// Below argocd: what is applied by hand beside it, and is no part of an environment.
const BESIDE: [&str; 2] = ["listen", "retrain"];

pub(crate) fn check(repo: &Repo) -> anyhow::Result<()> {
    let mut mistakes = Vec::new();
    let mut rendered = Vec::new();
    let mut report = Vec::new();
    let mut parsed = Vec::new();
    let mut pins = Vec::new();
    for environment in environments(repo)?.iter() {
        let mut mistake = |text: String| mistakes.push((environment.to_string(), text));
        let pinned = read_pin(repo, environment)?.unwrap_or_else(|error| {
            mistake(format!("{} was edited by hand: {error}", environment.pin_file()));
            Pinned::Missing
        });
        match kustomize::build(&repo.path(&environment.overlay()))? {
            Err(error) => mistake(format!("{} cannot be rendered: {error}", environment.overlay())),
            Ok(manifests) => {
                let objects =
                    Objects::parse(&manifests).context("reading what kustomize printed")?;
                rules::mistakes(&objects).into_iter().for_each(&mut mistake);
                let (count, version) = (objects.all().len(), kubeconform::KUBERNETES);
                report.push(format!(
                    "{environment}: {pinned}, {count} objects fit Kubernetes {version}"
                ));
                rendered.push((environment.to_string(), manifests));
                parsed.push((environment.clone(), objects));
            }
        }
        pins.push((environment.clone(), pinned));
    }
    if let Err(unreadable) = signing(repo)? {
        mistakes.push(("signing".to_owned(), unreadable.to_string()));
    }
    let argocd = argocd::mistakes(repo, &parsed)?;
    mistakes.extend(argocd.into_iter().map(|text| ("argocd".to_owned(), text)));
    for folder in BESIDE {
        let path = format!("argocd/{folder}");
        if !repo.path(&path).is_dir() {
            continue;
        }
        match kustomize::build(&repo.path(&path))? {
            Err(error) => mistakes.push((path.clone(), format!("cannot be rendered: {error}"))),
            Ok(manifests) => rendered.push((folder.to_owned(), manifests)),
        }
    }
    mistakes.extend(kubeconform::mistakes(&rendered)?);
    if mistakes.is_empty() {
        report.iter().for_each(data);
        argocd::pinned_elsewhere(repo, &pins)?.iter().for_each(step);
        return Ok(());
    }
    mistakes.sort();
    let lines: Vec<_> = mistakes.iter().map(|(name, text)| format!("\n  {name}: {text}")).collect();
    bail!("the manifests must not be released{}", lines.concat());
}

fn read_pin(repo: &Repo, environment: &Environment) -> anyhow::Result<Result<Pinned, InvalidPin>> {
    Ok(Pinned::from_yaml(&fs::read_to_string(repo.path(&environment.pin_file()))?))
}

/// A file that cannot be read stops every promotion and rollback, and nothing else.
fn signing(repo: &Repo) -> anyhow::Result<Result<Signing, UnreadableSigning>> {
    let file = repo.path(SIGNING);
    if !file.exists() {
        return Ok(Ok(Signing::default()));
    }
    Ok(Signing::read(&fs::read(file)?))
}

/// The environments of the work tree.
pub(crate) fn environments(repo: &Repo) -> anyhow::Result<Environments> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repo.path("kustomize/overlays"))? {
        let name = entry?.file_name();
        let pin = format!("kustomize/overlays/{}/release/kustomization.yaml", name.display());
        if let Part::Pin(environment) = Part::of(&pin)
            && repo.path(&pin).is_file()
        {
            found.push(environment);
        }
    }
    Ok(found.into_iter().collect())
}
