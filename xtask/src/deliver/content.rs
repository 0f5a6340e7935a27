//! [`Content`]: program and model, the two things that an image is made of. They give it its name, so
//! whoever makes the same again finds what is there, and a [`Pin`] is what is known of it once its digest
//! was read back from where it lives.

use anyhow::Context;
use contract::artifact::Artifact;
use contract::digest::Digest;
use gitops::image_reference::ImageReference;
use gitops::pin::Pin;

use crate::deliver::models::repository_of_models;
use crate::deliver::program::Program;
use crate::deliver::store::Store;
use crate::deliver::{assembly, image};
use crate::libtorch;
use crate::repo::Repo;
use crate::report::{WithHint, step};
use crate::tools::cargo;
use crate::tools::oci::Layout;

pub(crate) struct Content<'a> {
    pub(crate) artifact: &'a Artifact,
    pub(crate) program: &'a Program,
    /// Where its image belongs.
    pub(crate) repository: &'a str,
}

impl Content<'_> {
    pub(crate) fn tag(&self) -> String {
        format!("{}-{}", self.program.version(), self.artifact.manifest().model_version)
    }

    pub(crate) fn pin(&self, digest: Digest) -> anyhow::Result<Pin> {
        Ok(Pin {
            image: ImageReference::new(self.repository, &self.tag(), digest)?,
            app_version: self.program.version().parse()?,
            model_digest: self.artifact.manifest().model_digest,
        })
    }

    /// What an earlier run left there. A name that stands for another content is an error: somebody moved
    /// the tag.
    pub(crate) fn find(&self, store: &Store) -> anyhow::Result<Option<Pin>> {
        // What is made from uncommitted changes is another thing each time.
        if self.program.dirty {
            return Ok(None);
        }
        let Some(digest) = store.resolve(self.repository, &self.tag())? else { return Ok(None) };
        let labels = store.labels(self.repository, digest)?;
        let version = self.program.version();
        let model = self.artifact.manifest().model_digest.to_string();
        for (label, expected) in [
            (assembly::MODEL_DIGEST_LABEL, &model),
            (assembly::APP_VERSION_LABEL, &version),
            (assembly::REVISION_LABEL, &self.program.revision),
        ] {
            let found = labels.get(label);
            if found != Some(expected) {
                let found = found.map_or("nothing", String::as_str);
                let name = format!("{}:{}", self.repository, self.tag());
                let wrong = anyhow::anyhow!("{name} already exists with {found} as its {label}");
                return Err(wrong)
                    .hint("delete that tag in the registry: it was not pushed by a release");
            }
        }
        self.pin(digest).map(Some)
    }

    /// The artifact's own image beside it, by digest. A name that stands for another model is an error.
    pub(crate) fn model(&self, store: &Store) -> anyhow::Result<String> {
        let models = repository_of_models(self.repository);
        let manifest = self.artifact.manifest();
        let name = format!("{models}:{}", manifest.model_version);
        let digest = store
            .resolve(&models, manifest.model_version.as_str())?
            .with_context(|| format!("{name} is not there"))
            .hint("delete the service's tag: both are made together")?;
        let labels = store.labels(&models, digest)?;
        if labels.get(assembly::MODEL_DIGEST_LABEL) != Some(&manifest.model_digest.to_string()) {
            return Err(anyhow::anyhow!("{name} holds another model"))
                .hint("delete that tag in the registry: it was not pushed by a release");
        }
        Ok(format!("{models}@{digest}"))
    }

    /// Builds what is missing and puts it where images live, the artifact's own image beside it.
    pub(crate) fn make(&self, repo: &Repo, store: &Store) -> anyhow::Result<Pin> {
        let digest = match store.create()? {
            Some(layout) => self.assemble(repo, &layout)?,
            None => image::build_and_push(repo, self)?,
        };
        self.pin(digest)
    }

    /// The same images without a container engine.
    fn assemble(&self, repo: &Repo, layout: &Layout) -> anyhow::Result<Digest> {
        let version = &self.artifact.manifest().model_version;
        let models = repository_of_models(self.repository);
        // A version names the weights, and what was pushed first stays what it is.
        if layout.resolve(&models, version.as_str())?.is_none() {
            layout.add(&models, version.as_str(), &assembly::model_image(self.artifact))?;
        }
        step("building the service");
        let binary = cargo::build(repo, "app", "mnist-api")?;
        let tag = self.tag();
        step(format_args!("assembling {}:{tag}", self.repository));
        let image =
            assembly::service_image(&binary, &libtorch::in_use(repo), self.artifact, self.program)?;
        layout.add(self.repository, &tag, &image)
    }
}
