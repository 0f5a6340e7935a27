//! cargo-fuzz: builds the targets of `tests/fuzz` with libFuzzer and runs them.
//!
//! On the toolchain that all else is built with: LLVM counts the edges that an input reaches, and compares, without
//! a sanitizer, which only a nightly compiler has.

use std::path::{Path, PathBuf};

use crate::libtorch::cache_folder;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::tools::cargo;

/// Pinned, so that a new release cannot turn main red.
pub(crate) const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// One for each promise, as `tests/fuzz` names them.
const TARGETS: [&str; 8] =
    ["json", "picture", "multipart", "tensors", "traceparent", "receipt", "feedback", "event"];

/// Seconds for one input, and MiB for the process: several times what the longest takes.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=1024"];

/// Bytes of the longest input.
const LONGEST: &str = "-max_len=16384";

pub(crate) fn is_there(repo: &Repo) -> bool {
    Cmd::new(program(), repo.root()).args(["fuzz", "--version"]).succeeds()
}

pub(crate) fn install(repo: &Repo) -> anyhow::Result<()> {
    cargo::cargo(repo)
        .args(["install", "--quiet", "--locked", CARGO_FUZZ, "--root"])
        .arg(folder())
        .run()
}

/// Writes the seeds, then gives each target so many seconds. What it finds, and what leads there, stays in
/// `target/fuzz`.
pub(crate) fn campaign(repo: &Repo, seconds: u32) -> anyhow::Result<Vec<Cmd>> {
    let kept = cargo::release_folder()?.with_file_name("fuzz");
    let corpus = kept.join("corpus");
    let seeds = cargo::cargo(repo)
        .args(["run", "--quiet", "--locked", "--package", "fuzz", "--example", "seeds"])
        .arg(&corpus);
    let target = |name: &&str| {
        fuzz(repo, name, &corpus.join(name))
            .args(["--", "-seed=1", "-print_final_stats=1", LONGEST])
            .args(LIMITS)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{name}-", kept.display()))
    };
    Ok([seeds].into_iter().chain(TARGETS.iter().map(target)).collect())
}

fn fuzz(repo: &Repo, target: &str, input: &Path) -> Cmd {
    Cmd::new(program(), repo.root())
        .args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none"])
        .args(["--features", "libfuzzer", target])
        .arg(input)
}

fn program() -> PathBuf {
    folder().join("bin/cargo-fuzz")
}

/// Where no cache folder is known, nothing is found there and the installation says why.
fn folder() -> PathBuf {
    cache_folder().unwrap_or_default().join("tools")
}
