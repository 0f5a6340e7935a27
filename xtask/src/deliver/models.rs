//! Where artifacts are found: in a folder, among those trained here, or as the image of its own that
//! every release pushes beside the service's. Whichever it was, what is opened is verified.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::artifact::Artifact;
use contract::digest::Digest;
use contract::manifest::ModelVersion;
use gitops::history::History;

use crate::deliver::store::Store;
use crate::repo::Repo;
use crate::report::{WithHint, step};

pub(crate) struct Models<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) store: &'a Store,
    /// For what has to be fetched.
    pub(crate) scratch: &'a Path,
}

/// The repository of artifacts that belongs to one of services.
pub(crate) fn repository_of_models(repository: &str) -> String {
    format!("{repository}-model")
}

impl Models<'_> {
    /// A folder, `NAME@sha256:…`, or the artifact that was trained last.
    pub(crate) fn candidate(&self, wanted: Option<&str>) -> anyhow::Result<Artifact> {
        let folder = match wanted {
            None => self.repo.latest_artifact(),
            Some(name) => match name.split_once('@') {
                Some((repository, digest)) if !Path::new(name).exists() => {
                    let digest = digest
                        .parse()
                        .with_context(|| format!("`{name}` is neither a folder nor an image"))
                        .hint("an artifact's image is named by digest: NAME@sha256:…")?;
                    return self.fetched(repository, digest);
                }
                _ => PathBuf::from(name),
            },
        };
        let folder = fs_err::canonicalize(&folder).hint("`cargo xtask train` makes an artifact")?;
        Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")
    }

    /// The model of the newest Verified Change that was not rolled back and is not quarantined; none where
    /// there is no such Change.
    pub(crate) fn champion(&self, history: &History) -> anyhow::Result<Option<Artifact>> {
        let Some((_, pin)) = history.restorable().next() else { return Ok(None) };
        let version = pin.model_version();
        if let Some(artifact) = self.trained_here(&version, pin.model_digest) {
            return Ok(Some(artifact));
        }
        let repository = repository_of_models(pin.image.repository());
        let image = format!("{repository}:{version}");
        let digest = self.store.resolve(&repository, version.as_str())?;
        let digest = digest
            .with_context(|| format!("the champion {version} is neither here nor at {image}"))
            .hint(format!("push its artifact as {image}, or copy it into artifacts/"))?;
        let artifact = self.fetched(&repository, digest)?;
        if artifact.manifest().model_digest != pin.model_digest {
            bail!("{image} holds another model than the one that was verified");
        }
        Ok(Some(artifact))
    }

    fn trained_here(&self, version: &ModelVersion, digest: Digest) -> Option<Artifact> {
        let folders = fs_err::read_dir(self.repo.artifacts()).ok()?;
        let ending = format!("-{version}");
        folders
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.display().to_string().ends_with(&ending))
            .filter_map(|path| Artifact::open(&path).ok())
            .find(|artifact| artifact.manifest().model_digest == digest)
    }

    fn fetched(&self, repository: &str, digest: Digest) -> anyhow::Result<Artifact> {
        step(format_args!("fetching {repository}@{digest}"));
        let folder = self.scratch.join(digest.hex());
        if !folder.exists() {
            self.store.fetch_artifact(repository, digest, &folder)?;
        }
        Ok(Artifact::open(&folder)?)
    }
}
