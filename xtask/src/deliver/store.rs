//! [`Store`]: where images live, and so who is asked whether one is there: their registry, or a folder
//! in the form of an OCI image layout, for which no container engine is needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::digest::Digest;
use gitops::admit::{ImageCheck, Signature};
use gitops::image_reference::ImageReference;
use gitops::signing::{Demand, Signing};

use crate::deliver::assembly;
use crate::repo::Repo;
use crate::report::{WithHint, step};
use crate::tools::cosign;
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
    pub(crate) fn open(&self) -> anyhow::Result<Option<Layout>> {
        self.layout.as_ref().map(|folder| Layout::open(folder)).transpose()
    }

    /// For whoever puts images in; the folder need not be there.
    pub(crate) fn create(&self) -> anyhow::Result<Option<Layout>> {
        self.layout.as_ref().map(|folder| Layout::create(folder)).transpose()
    }

    /// What is not clearly there is not there, and what is not clearly signed as main demands is not.
    pub(crate) fn check(
        &self,
        repo: &Repo,
        image: &ImageReference,
        demand: Demand<'_>,
    ) -> ImageCheck {
        match self.presence(image) {
            ImageCheck::Present(_) => match self.signature(repo, image, demand) {
                Some(signature) => ImageCheck::Present(signature),
                None => ImageCheck::Unchecked,
            },
            absent => absent,
        }
    }

    fn signature(
        &self,
        repo: &Repo,
        image: &ImageReference,
        demand: Demand<'_>,
    ) -> Option<Signature> {
        match demand {
            Ok(Signing::None) => Some(Signature::NotRequired),
            Ok(_) if self.layout.is_some() => {
                step(format_args!("{image} is in a folder, where nothing can be signed"));
                Some(Signature::Invalid)
            }
            Ok(signing) => cosign::verify(repo, image, signing),
            Err(unreadable) => {
                step(unreadable);
                Some(Signature::Invalid)
            }
        }
    }

    /// Whatever keeps an image from being signed as main demands, before minutes of building it.
    pub(crate) fn demand_signable(
        &self,
        repo: &Repo,
        demand: Demand<'_>,
        key: Option<&str>,
    ) -> anyhow::Result<()> {
        match self.signing(demand)? {
            Signing::None => Ok(()),
            signing => cosign::demand(repo, signing, key),
        }
    }

    /// How an image in this store must be signed.
    fn signing<'a>(&self, demand: Demand<'a>) -> anyhow::Result<&'a Signing> {
        match demand {
            Ok(Signing::None) => Ok(&Signing::None),
            Ok(_) if self.layout.is_some() => {
                Err(anyhow::anyhow!("images in a folder cannot be signed, and main demands it"))
                    .hint("release to a registry, or set `mode: none` in kustomize/signing.yaml")
            }
            Ok(signing) => Ok(signing),
            Err(unreadable) => Err(unreadable.clone()).hint("git log -p -- kustomize/signing.yaml"),
        }
    }

    /// Signs what is about to be pinned, where main demands it and it is not signed yet.
    pub(crate) fn sign(
        &self,
        repo: &Repo,
        image: &ImageReference,
        demand: Demand<'_>,
        key: Option<&str>,
    ) -> anyhow::Result<()> {
        let signing = self.signing(demand)?;
        match self.signature(repo, image, demand) {
            Some(Signature::NotRequired) => {}
            Some(Signature::Valid) => step(format_args!("{image} is signed already")),
            _ => cosign::sign(repo, image, signing, key)?,
        }
        Ok(())
    }

    fn presence(&self, image: &ImageReference) -> ImageCheck {
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
