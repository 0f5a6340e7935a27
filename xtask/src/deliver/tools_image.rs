//! `image gitops` and `image trainer`: our own tools as images, for pods.
//!
//! Both are of the newest commit, whatever the work tree holds.

use std::path::Path;

use anyhow::Context;
use gitops::image_reference::ImageReference;

use crate::deliver::image::REPOSITORY;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::engine::{self, Build, Files};
use crate::tools::git;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also push it there, and print the name with its digest
    #[arg(long, value_name = "REPOSITORY")]
    push: Option<String>,
}

/// Each is also the name of the target in its Dockerfile.
#[derive(Clone, Copy)]
pub(crate) enum Image {
    /// Decides what becomes of a release.
    Gitops,
    /// Trains, judges and proposes; looks for a better recipe.
    Trainer,
}

impl Image {
    pub(crate) fn run(self, repo: &Repo, args: &Args) -> anyhow::Result<()> {
        match &args.push {
            None => data(self.build(repo)?.name),
            Some(repository) => data(self.push(repo, repository)?),
        }
        Ok(())
    }

    /// Builds it, and pushes it there.
    pub(crate) fn push(self, repo: &Repo, repository: &str) -> anyhow::Result<ImageReference> {
        let Built { name, version } = self.build(repo)?;
        let pushed = format!("{repository}:{version}");
        step(format_args!("pushing {pushed}"));
        let digest = engine::push(&name, &pushed)?;
        Ok(ImageReference::new(repository, &version, digest)?)
    }

    fn build(self, repo: &Repo) -> anyhow::Result<Built> {
        engine::demand()?;
        let stages = Stages::of(repo)?;
        let (service, tools) = ("Dockerfile", "xtask/Dockerfile");
        let about = [("APP_VERSION", stages.version.as_str()), ("APP_REVISION", &stages.revision)];
        let gitops = stages.build(tools, "gitops", &about)?;
        let name = match self {
            Self::Gitops => gitops,
            Self::Trainer => {
                let libtorch = stages.build(service, "libtorch", &[])?;
                let git = stages.build(tools, "git", &[])?;
                let from = [("LIBTORCH", libtorch.as_str()), ("GIT", &git), ("GITOPS", &gitops)];
                stages.build("xtask/mlops/Dockerfile", "trainer", &[&from[..], &about].concat())?
            }
        };
        Ok(Built { name, version: stages.version })
    }
}

/// Its name here, and its version.
struct Built {
    name: String,
    version: String,
}

/// What is built of one commit.
struct Stages {
    archive: Vec<u8>,
    version: String,
    revision: String,
}

impl Stages {
    fn of(repo: &Repo) -> anyhow::Result<Self> {
        let head = git::head(repo)
            .context("there is no commit to build from")
            .hint("build in a Git checkout")?;
        let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), &head.revision[..12]);
        Ok(Self { archive: git::archive(repo)?, version, revision: head.revision })
    }

    /// Under a name of its own, so that another Dockerfile may begin with it.
    fn build(
        &self,
        dockerfile: &str,
        target: &str,
        args: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let name = format!("{REPOSITORY}-{target}:{}", self.version);
        step(format_args!("building {name}"));
        engine::build(&Build {
            context: Files::Archive(&self.archive),
            dockerfile: Path::new(dockerfile),
            target: Some(target),
            args,
            tag: &name,
        })?;
        Ok(name)
    }
}
