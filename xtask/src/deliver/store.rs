//! [`Store`]: where images live, and so who is asked whether one is there: their registry, or a folder
//! in the form of an OCI image layout, for which no container engine is needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::digest::Digest;
use gitops::admit::ImageCheck;
use gitops::image_reference::ImageReference;

use crate::deliver::assembly;
use crate::report::step;
use crate::tools::oci::{self, Layout};
use crate::tools::registry::Repository;

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Store {
    /// Images live in this folder, an OCI image layout, instead of a registry: no container engine
    /// is needed
    #[arg(long, value_name = "DIR")]
    pub(crate) layout: Option<PathBuf>,
}

impl Store {
    fn open(&self) -> anyhow::Result<Option<Layout>> {
        self.layout.as_ref().map(|folder| Layout::open(folder)).transpose()
    }

    /// For whoever puts images in; the folder need not be there.
    pub(crate) fn create(&self) -> anyhow::Result<Option<Layout>> {
        self.layout.as_ref().map(|folder| Layout::create(folder)).transpose()
    }

    /// What is not clearly there is not there.
    pub(crate) fn check(&self, image: &ImageReference) -> ImageCheck {
        match self.open() {
            Ok(Some(layout)) => layout.check(image),
            Ok(None) => Repository::open(image.repository()).check(image),
            Err(error) => {
                step(format_args!("{image} cannot be checked: {error:#}"));
                ImageCheck::Unchecked
            }
        }
    }

    /// The digest that a tag stands for now.
    pub(crate) fn resolve(&self, repository: &str, tag: &str) -> anyhow::Result<Option<Digest>> {
        if self.layout.as_ref().is_some_and(|folder| !folder.exists()) {
            return Ok(None);
        }
        match self.open()? {
            Some(layout) => layout.resolve(repository, tag),
            None => Repository::open(repository).resolve(tag),
        }
        .with_context(|| format!("asking for {repository}:{tag}"))
    }

    pub(crate) fn labels(
        &self,
        repository: &str,
        digest: Digest,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        match self.open()? {
            Some(layout) => oci::labels(&layout, digest),
            None => oci::labels(&Repository::open(repository), digest),
        }
    }

    /// The artifact that an image of its own holds, as a folder that appears whole or not at all.
    pub(crate) fn fetch_artifact(
        &self,
        repository: &str,
        digest: Digest,
        into: &Path,
    ) -> anyhow::Result<()> {
        match self.open()? {
            Some(layout) => assembly::fetch_artifact(&layout, digest, into),
            None => assembly::fetch_artifact(&Repository::open(repository), digest, into),
        }
    }
}
