//! `data`: files too large for Git, versioned in DVC's formats, so that its users and ours share pointers, caches and
//! remotes.
//!
//! A pointer lies in Git, contents lie in the cache and on remotes under their MD5. Nothing is taken for what its name
//! says before it was hashed; a folder's manifest is sent after all that it names. DVC's settings are read from
//! `.dvc/config` and `.dvc/config.local`, not from a user's or a system's own.

mod add;
mod cache;
mod checkout;
mod config;
mod gc;
mod git;
mod object;
mod pointer;
mod pull;
mod push;
pub(crate) mod remote;
mod scalar;
mod status;
mod together;
mod tree;
mod workspace;

use std::fmt::Display;
use std::io::{Write as _, stderr};
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use crate::told::tell as told;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Add(add::Args),
    Push(push::Args),
    Pull(pull::Args),
    Status(status::Args),
    Verify(status::VerifyArgs),
    Gc(gc::Args),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add(args) => args.run(),
            Self::Push(args) => args.run(),
            Self::Pull(args) => args.run(),
            Self::Status(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Gc(args) => args.run(),
        }
    }
}

/// Whoever closed stderr does not read it.
fn step(what: impl Display) {
    drop(writeln!(stderr(), "{what}"));
}

/// What went wrong, and what to do next.
pub(crate) fn hinted(what: impl Display, hint: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{what}\n\nhint: {hint}")
}

/// One thing or several.
fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Asynchronous work, done here and now. One runtime for all of it: connections that are kept open live in it.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = if let Some(runtime) = RUNTIME.get() {
        runtime
    } else {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        RUNTIME.get_or_init(|| runtime)
    };
    runtime.block_on(work)
}
