//! syft: finds the packages in an image and writes them down in the form of SPDX 2.3. Of a Rust program it knows
//! what cargo-auditable puts into it, so of ours nothing: see [`crate::deliver::sbom`].

use std::path::Path;

use anyhow::Context;
use gitops::image_reference::ImageReference;
use serde_json::Value;

use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::WithHint;
use crate::tools::pinned::GoTool;

const SYFT: GoTool =
    GoTool { name: "syft", package: "github.com/anchore/syft/cmd/syft", version: "v1.57.0" };

pub(crate) fn provide() -> anyhow::Result<()> {
    SYFT.provide().map(drop)
}

/// Where an image is read.
pub(crate) enum Place<'a> {
    Registry,
    /// A layout that holds no other image.
    Layout(&'a Path),
}

/// By digest, whatever its tag stands for now.
pub(crate) fn spdx(
    repo: &Repo,
    image: &ImageReference,
    place: &Place<'_>,
) -> anyhow::Result<Value> {
    let (repository, digest) = (image.repository(), image.digest().to_string());
    let source = match place {
        Place::Registry => format!("registry:{repository}@{digest}"),
        Place::Layout(folder) => format!("oci-dir:{}", folder.display()),
    };
    let syft = Cmd::new(SYFT.provide()?, repo.root())
        .args(["scan", &source, "--output", "spdx-json", "--quiet"])
        .args(["--source-name", repository, "--source-version", &digest])
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    let ended = syft.end()?;
    if !ended.success {
        let said = ended.stderr.trim().lines().last().unwrap_or("it says nothing").to_owned();
        return Err(anyhow::anyhow!("syft cannot read {image}: {said}"))
            .hint("may you pull from the registry? `docker login`, then the same command again");
    }
    serde_json::from_str(&ended.stdout).with_context(|| format!("`{syft}` printed no JSON"))
}
