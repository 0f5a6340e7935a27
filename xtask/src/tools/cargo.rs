//! cargo: how packages are built here, and where their binaries are.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::process::Cmd;
use crate::repo::Repo;

/// Packages that need libtorch. They are built in the release profile everywhere, tests included:
/// torch-sys compiles for two minutes, once per profile.
pub(crate) const LIBTORCH_PACKAGES: [&str; 2] = ["model", "app"];

pub(crate) fn cargo(repo: &Repo) -> Cmd {
    Cmd::new("cargo", repo.root())
}

/// Builds one package's binary in the release profile, which cargo tells of, and says where it is. Where programs come with us, as in an
/// image, nothing is built.
pub(crate) fn build(repo: &Repo, package: &str, binary: &str) -> anyhow::Result<PathBuf> {
    if let Some(folder) = programs() {
        return Ok(folder.join(binary));
    }
    binary_of(repo, package, binary).run()?;
    Ok(release_folder()?.join(binary))
}

/// Builds it in the release profile. The packages of libtorch are named together, whichever is built: cargo gives what
/// they share the features that those named want, and would compile it once for each.
pub(crate) fn binary_of(repo: &Repo, package: &str, binary: &str) -> Cmd {
    let own = [package];
    let together: &[&str] =
        if LIBTORCH_PACKAGES.contains(&package) { &LIBTORCH_PACKAGES } else { &own };
    cargo(repo)
        .args(["build", "--release", "--locked"])
        .args(packages(together))
        .args(["--bin", binary])
}

pub(crate) fn packages<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names.iter().flat_map(|name| ["--package", name]).collect()
}

/// Where our programs are, if they came with us; libtorch is beside them.
pub(crate) fn programs() -> Option<PathBuf> {
    std::env::var_os("XTASK_PROGRAMS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Builds one of a package's examples in the release profile and says where it is.
pub(crate) fn example(repo: &Repo, package: &str, example: &str) -> anyhow::Result<PathBuf> {
    let build = ["build", "--quiet", "--release", "--locked", "--package", package, "--example"];
    cargo(repo).args(build).arg(example).run()?;
    Ok(release_folder()?.join("examples").join(example))
}

/// `target/release`, wherever the target folder is: we were started from its `debug`.
pub(crate) fn release_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("asking for the path of xtask")?;
    let target = own.parent().and_then(Path::parent);
    Ok(target.context("xtask lies in no target folder")?.join("release"))
}
