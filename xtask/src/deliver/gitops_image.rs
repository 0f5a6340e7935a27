//! `image gitops`: this very tool as an image, for pods that handle reports.

use std::path::Path;

use anyhow::Context;
use gitops::image_reference::ImageReference;

use crate::deliver::image::REPOSITORY;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::engine::{self, Build, Files};
use crate::tools::git;

/// Build the image of `xtask` itself, for pods that handle reports, and print its name
///
/// From the newest commit, whatever the work tree holds. It has git and no compiler, runs as nobody on a
/// read-only root, and writes only below /clone: mount an empty volume there, set `XTASK_REMOTE` to the
/// repository's address, and call it as you would call `cargo xtask`. Beside it is `gitops-listen`, which
/// takes Argo CD's reports and hands them to it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also push it there, and print the name with its digest
    #[arg(long, value_name = "REPOSITORY")]
    push: Option<String>,
}

/// Also the name of the target in its Dockerfile.
const TARGET: &str = "gitops";

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self.push {
            None => data(build(repo)?.0),
            Some(repository) => data(push(repo, &repository)?),
        }
        Ok(())
    }
}

/// Builds it, and pushes it there.
pub(crate) fn push(repo: &Repo, repository: &str) -> anyhow::Result<ImageReference> {
    let (image, version) = build(repo)?;
    let pushed = format!("{repository}:{version}");
    step(format_args!("pushing {pushed}"));
    let digest = engine::push(&image, &pushed)?;
    Ok(ImageReference::new(repository, &version, digest)?)
}

/// Its name here, and its version.
fn build(repo: &Repo) -> anyhow::Result<(String, String)> {
    engine::demand()?;
    let head = git::head(repo)
        .context("there is no commit to build from")
        .hint("build in a Git checkout")?;
    let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), &head.revision[..12]);
    let image = format!("{REPOSITORY}-{TARGET}:{version}");
    step(format_args!("building {image}"));
    engine::build(&Build {
        context: Files::Archive(git::archive(repo)?),
        dockerfile: Path::new("xtask/Dockerfile"),
        target: Some(TARGET),
        args: &[],
        tag: &image,
    })?;
    Ok((image, version))
}
