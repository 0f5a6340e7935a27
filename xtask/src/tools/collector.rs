//! A collector of OpenTelemetry that takes spans and writes down what it took. Its makers publish no program that Go
//! installs, but one that puts a collector together from named parts.

use std::path::{Path, PathBuf};

use contract::atomic::AtomicDir;
use fs_err as fs;

use crate::process::Cmd;
use crate::report::step;
use crate::tools::pinned::{self, GoTool};

const NAME: &str = "otelcol";
const VERSION: &str = "v0.165.0";
const BUILDER: GoTool = GoTool {
    name: "builder",
    package: "go.opentelemetry.io/collector/cmd/builder",
    version: VERSION,
};

pub(crate) fn provide() -> anyhow::Result<()> {
    let builder = BUILDER.provide()?;
    pinned::provide(program(), |home| build(&builder, home)).map(drop)
}

pub(crate) fn program() -> PathBuf {
    pinned::program(NAME, VERSION)
}

fn build(builder: &Path, home: &Path) -> anyhow::Result<()> {
    step(format_args!("building {NAME} {VERSION}"));
    let folder = AtomicDir::create(home)?;
    let parts = folder.path().join("parts.yaml");
    let collector = "go.opentelemetry.io/collector";
    let told = format!(
        "dist: {{ name: {NAME}, output_path: . }}\n\
         receivers: [{{ gomod: {collector}/receiver/otlpreceiver {VERSION} }}]\n\
         exporters: [{{ gomod: {collector}/exporter/debugexporter {VERSION} }}]\n"
    );
    fs::write(&parts, told)?;
    Cmd::new(builder, folder.path()).arg("--config").arg(&parts).env("CGO_ENABLED", "0").run()?;
    fs::metadata(folder.path().join(NAME))?;
    Ok(folder.commit()?)
}
