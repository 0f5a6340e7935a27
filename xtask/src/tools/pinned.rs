//! Go programs at one version each, built once per user by `go install`, which checks every module
//! against Go's checksum database. The version is part of the path, so a raised pin never meets the
//! program of before.

use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::atomic::AtomicDir;
use fs_err as fs;

use crate::libtorch::cache_folder;
use crate::process::Cmd;
use crate::report::{WithHint, step};

pub(crate) struct GoTool {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
}

impl GoTool {
    /// The program, built first if it is not there.
    pub(crate) fn provide(&self) -> anyhow::Result<PathBuf> {
        provide(self.program(), |home| self.install(home))
    }

    /// Where it is, once provided.
    pub(crate) fn program(&self) -> PathBuf {
        program(self.name, self.version)
    }

    fn install(&self, home: &Path) -> anyhow::Result<()> {
        let Self { name, package, version } = self;
        if !go_is_there() {
            return Err(anyhow::anyhow!("{name} {version} is built with Go, which was not found"))
                .hint("install Go 1.26 or newer, then run the command again");
        }
        step(format_args!("building {name} {version}"));
        let folder = AtomicDir::create(home)?;
        Cmd::new("go", folder.path())
            .args(["install", &format!("{package}@{version}")])
            .env("GOBIN", folder.path())
            .env("CGO_ENABLED", "0")
            .run()?;
        fs::metadata(folder.path().join(name))?;
        Ok(folder.commit()?)
    }
}

/// Where a program of a version is, once provided.
pub(super) fn program(name: &str, version: &str) -> PathBuf {
    let tools = cache_folder().unwrap_or_default().join("tools/go");
    tools.join(format!("{name}-{version}")).join(name)
}

/// The program, after `install` put it into its folder if it was not there.
pub(super) fn provide(
    program: PathBuf,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    if program.is_file() {
        return Ok(program);
    }
    let home = program.parent().context("it lies in a folder")?;
    let tools = home.parent().context("as do all")?;
    fs::create_dir_all(tools)?;
    // Two commands may want it at once: the second waits and finds it.
    let lock = fs::File::create(tools.join(".lock"))?;
    lock.file().lock().context("waiting for another installation")?;
    if !program.is_file() {
        install(home)?;
    }
    Ok(program)
}

pub(crate) fn go_is_there() -> bool {
    Cmd::new("go", Path::new(".")).arg("version").succeeds()
}
