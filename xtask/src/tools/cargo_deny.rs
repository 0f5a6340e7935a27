//! cargo-deny: whether our crates may be shipped, by `deny.toml`.

use std::path::PathBuf;

use crate::libtorch::cache_folder;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::tools::cargo;

/// Pinned, so that a new release cannot turn main red.
pub(crate) const CARGO_DENY: &str = "cargo-deny@0.20.2";

pub(crate) fn is_there(repo: &Repo) -> bool {
    cargo_deny(repo).arg("--version").succeeds()
}

pub(crate) fn install(repo: &Repo) -> anyhow::Result<()> {
    cargo::cargo(repo)
        .args(["install", "--quiet", "--locked", CARGO_DENY, "--root"])
        .arg(folder())
        .run()
}

/// What needs no network: bans, licences, sources.
pub(crate) fn licences(repo: &Repo) -> Cmd {
    let check = cargo_deny(repo).args(["--locked", "--log-level", "error", "check"]);
    check.args(["bans", "licenses", "sources"])
}

/// Brings the database of advisories here.
pub(crate) fn fetch_advisories(repo: &Repo) -> Cmd {
    cargo_deny(repo).args(["--locked", "--log-level", "error", "fetch", "db"])
}

/// By the database that was brought here before.
pub(crate) fn advisories(repo: &Repo) -> Cmd {
    cargo_deny(repo).args(["--frozen", "--log-level", "error", "check", "advisories"])
}

fn cargo_deny(repo: &Repo) -> Cmd {
    Cmd::new(folder().join("bin/cargo-deny"), repo.root())
}

/// Where no cache folder is known, nothing is found there and the installation says why.
fn folder() -> PathBuf {
    cache_folder().unwrap_or_default().join("tools")
}
