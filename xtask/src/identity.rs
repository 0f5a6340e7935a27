//! [`Identity`]: what a fork calls itself. It is written in the files that Argo CD and GitHub read, and nowhere
//! else, so it is read from there; [`Identity::apply`] is the only one that writes it.

mod renaming;

use std::path::PathBuf;

use anyhow::Context;
use fs_err as fs;
use gitops::environment::SIGNING;
use serde_json::Value;

use crate::rendered::Objects;
use crate::repo::Repo;
use crate::report::WithHint;

pub(crate) const ROOT: &str = "argocd/root.yaml";
pub(crate) const APPLICATIONS: &str = "argocd/apps";
pub(crate) const PROJECT: &str = "argocd/apps/project.yaml";
/// `ConfigMap`s of Argo CD that `argocd/install` sets.
pub(crate) const SETTINGS: [&str; 3] =
    ["argocd-cm", "argocd-cmd-params-cm", "argocd-notifications-cm"];
pub(crate) const NOTIFICATIONS: &str = "argocd/install/argocd-notifications-cm.yaml";
const RELEASE: &str = ".github/workflows/release.yml";
pub(crate) const REGIONS: &str = "argocd/regions.yaml";
pub(crate) const MONITORING: &str = "argocd/monitoring.yaml";
/// All that names the fork in what Prometheus and Grafana read.
const MONITORED: [&str; 4] =
    ["monitoring/rules", "monitoring/tests", "monitoring/dashboards", "monitoring/operator"];
/// Of the Application that holds the others.
const ROOT_SUFFIX: &str = "-root";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `https://HOST/OWNER/NAME.git`, as Argo CD clones it.
    pub(crate) repository: String,
    /// Where images of the service are pushed.
    pub(crate) image: String,
    /// What namespaces, Applications and projects begin with.
    pub(crate) prefix: String,
}

impl Identity {
    pub(crate) fn read(repo: &Repo) -> anyhow::Result<Self> {
        let text = fs::read_to_string(repo.path(ROOT))?;
        let root = Objects::parse(&text).with_context(|| format!("`{ROOT}` is no YAML"))?;
        let root =
            root.of("Application").next().with_context(|| format!("no Application in {ROOT}"))?;
        let prefix = root.name().strip_suffix(ROOT_SUFFIX);
        let prefix =
            prefix.with_context(|| format!("{ROOT}: its name must end in {ROOT_SUFFIX}"))?;
        let release: Value = serde_yaml::from_str(&fs::read_to_string(repo.path(RELEASE))?)
            .with_context(|| format!("`{RELEASE}` is no YAML"))?;
        let image = release["env"]["IMAGE"].as_str();
        Ok(Self {
            repository: root.text("/spec/source/repoURL").to_owned(),
            image: image.with_context(|| format!("{RELEASE}: env.IMAGE is missing"))?.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    fn host_and_slug(&self) -> (&str, &str) {
        let path = self.repository.strip_prefix("https://").unwrap_or(&self.repository);
        let path = path.strip_suffix(".git").unwrap_or(path);
        path.split_once('/').unwrap_or((path, ""))
    }

    /// `OWNER/NAME`.
    pub(crate) fn slug(&self) -> &str {
        self.host_and_slug().1
    }

    /// The address of this repository in its host's API.
    pub(crate) fn api(&self) -> String {
        match self.host_and_slug() {
            ("github.com", slug) => format!("https://api.github.com/repos/{slug}/"),
            // GitHub Enterprise Server.
            (host, slug) => format!("https://{host}/api/v3/repos/{slug}/"),
        }
    }

    /// Where a browser finds the repository's files.
    pub(crate) fn pages(&self) -> String {
        let address = self.repository.strip_suffix(".git").unwrap_or(&self.repository);
        format!("{address}/blob/main/")
    }

    /// The Application of what belongs to no environment, and its project.
    pub(crate) fn monitoring(&self) -> String {
        format!("{}-monitoring", self.prefix)
    }

    /// How queries select the Applications of this fork.
    pub(crate) fn selector(&self) -> String {
        format!("project=\"{}\"", self.prefix)
    }

    /// What the Application of an environment is called, and its namespace.
    pub(crate) fn environment(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The Application that holds the others, and its project.
    pub(crate) fn root(&self) -> String {
        format!("{}{ROOT_SUFFIX}", self.prefix)
    }
}

/// Every file that may name the fork; the root's is the last.
fn files(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in [APPLICATIONS, "argocd/install", "tests/golden"].into_iter().chain(MONITORED) {
        let Ok(entries) = fs::read_dir(repo.path(folder)) else { continue };
        for entry in entries {
            files.push(PathBuf::from(folder).join(entry?.file_name()));
        }
    }
    for entry in fs::read_dir(repo.path("kustomize/overlays"))? {
        files.push(
            PathBuf::from("kustomize/overlays").join(entry?.file_name()).join("kustomization.yaml"),
        );
    }
    files.push(PathBuf::from(SIGNING));
    files.extend([MONITORING, REGIONS, RELEASE, ROOT].map(PathBuf::from));
    files
        .into_iter()
        .filter(|file| repo.path(&file.to_string_lossy()).is_file())
        // What a run that was killed left half-written, and editors write.
        .filter(|file| {
            file.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'))
        })
        .map(|file| {
            file.into_os_string().into_string().ok().context("a file whose name is no text")
        })
        .collect::<anyhow::Result<_>>()
        .hint("rename it")
}
