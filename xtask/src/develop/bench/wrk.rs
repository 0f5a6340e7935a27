//! wrk, which keeps connections busy: each asks again as soon as it is answered.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::process::Cmd;

/// What wrk posts, from a file.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) url: String,
    pub(super) body: &'a Path,
    pub(super) content_type: &'static str,
    pub(super) connections: u32,
    pub(super) seconds: u32,
}

/// What came of it. Times in microseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Figures {
    pub(super) requests: u64,
    duration: f64,
    /// Requests without an answer, or with another than 2xx or 3xx.
    pub(super) failed: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Figures {
    pub(super) fn per_second(self) -> f64 {
        self.requests as f64 * 1e6 / self.duration
    }
}

pub(super) fn demand(folder: &Path) -> anyhow::Result<()> {
    for program in ["wrk", "taskset"] {
        // wrk says its version and fails; that it starts is all that is asked.
        if Cmd::new(program, folder).arg("--version").end().is_err() {
            bail!("{program} is not here; Debian's packages are wrk and util-linux");
        }
    }
    Ok(())
}

/// On the given cores; the script lies in `folder`.
pub(super) fn run(folder: &Path, cores: &str, load: &Load<'_>) -> anyhow::Result<Figures> {
    let script = folder.join("wrk.lua");
    fs_err::write(&script, include_str!("wrk.lua"))?;
    let wrk = Cmd::new("wrk", folder)
        .args(["--threads", "1", "--script"])
        .arg(script)
        .args(["--connections", &load.connections.to_string()])
        .args(["--duration", &format!("{}s", load.seconds)])
        .args([&load.url, "--"])
        .arg(load.body)
        .arg(load.content_type)
        .on_cores(cores);
    let told = wrk.read()?;
    let figures = told.lines().find(|line| line.starts_with('{'));
    let figures = figures.with_context(|| format!("`{wrk}` told no figures:\n{told}"))?;
    Ok(serde_json::from_str(figures)?)
}
