//! The container engine: Docker, by its command line. It is told everything by argument and asked for
//! everything it did, so a digest is the registry's, never one computed here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use contract::digest::Digest;

use crate::process::{Cmd, Ended};
use crate::report::{WithHint, step};

fn docker() -> Cmd {
    Cmd::new("docker", Path::new("."))
}

/// Before minutes of building, not after.
pub(crate) fn demand() -> anyhow::Result<()> {
    let version = docker().args(["version", "--format", "{{.Server.Version}}"]);
    if version.succeeds() {
        return Ok(());
    }
    Err(anyhow::anyhow!("no container engine answers `{version}`"))
        .hint("install Docker and start it; your user must be allowed to use it")
}

/// What a build may read.
pub(crate) enum Files<'a> {
    Folder(&'a Path),
    /// A tar archive.
    Archive(&'a [u8]),
}

pub(crate) struct Build<'a> {
    pub(crate) context: Files<'a>,
    /// Where the context is an archive, its path within.
    pub(crate) dockerfile: &'a Path,
    /// None where the file has only one.
    pub(crate) target: Option<&'a str>,
    pub(crate) args: &'a [(&'a str, &'a str)],
    pub(crate) tag: &'a str,
}

pub(crate) fn build(build: &Build<'_>) -> anyhow::Result<()> {
    let mut command = docker().arg("build").arg("--file").arg(build.dockerfile);
    if let Some(target) = build.target {
        command = command.args(["--target", target]);
    }
    for (name, value) in build.args {
        command = command.args(["--build-arg", &format!("{name}={value}")]);
    }
    command = command.args(["--tag", build.tag]);
    match &build.context {
        Files::Folder(folder) => command.arg(folder).run(),
        Files::Archive(archive) => command.arg("-").input(archive.to_vec()).run(),
    }
}

/// Images that a Dockerfile starts from and does not make itself.
pub(crate) fn bases(dockerfile: &str) -> Vec<&str> {
    let mut stages: Vec<&str> = Vec::new();
    let mut bases = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("FROM") {
            continue;
        }
        let image = words.next().unwrap_or_default();
        if !image.contains('$') && !stages.contains(&image) {
            bases.push(image);
        }
        stages.extend(words.last());
    }
    bases
}

/// Whether an image is here, fetched if it can be.
pub(crate) fn provide(image: &str) -> bool {
    docker().args(["image", "inspect", image]).succeeds()
        || docker().args(["pull", "--quiet", image]).succeeds()
}

pub(crate) fn labels(image: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let inspect = docker().args(["image", "inspect", "--format", "{{json .Config.Labels}}", image]);
    let ended = inspect.end()?;
    if !ended.success {
        return Err(anyhow::anyhow!("there is no image `{image}` here"))
            .hint("`cargo xtask image build` makes one; `docker pull` fetches one");
    }
    let labels: Option<BTreeMap<String, String>> = serde_json::from_str(&ended.stdout)
        .with_context(|| format!("`{inspect}` did not print labels"))?;
    Ok(labels.unwrap_or_default())
}

/// Pushes what is called `local` here as `remote` and returns the digest that the registry knows it by.
pub(crate) fn push(local: &str, remote: &str) -> anyhow::Result<Digest> {
    docker().args(["tag", local, remote]).run()?;
    docker().args(["push", "--quiet", remote]).run().hint(
        "`docker login` to the registry, or run the command again: layers that arrived stay",
    )?;
    let (repository, _tag) = remote.rsplit_once(':').context("a tag is needed to push")?;
    let known = docker().args(["image", "inspect", "--format", "{{json .RepoDigests}}", remote]);
    let digests: Vec<String> = serde_json::from_str(&known.read()?)
        .with_context(|| format!("`{known}` did not print digests"))?;
    let pushed = digests.iter().find_map(|name| name.strip_prefix(repository)?.strip_prefix('@'));
    let digest: Digest = pushed.context("the engine knows no digest of what it pushed")?.parse()?;
    // The registry is asked for exactly these bytes; an engine that has them fetches nothing else.
    docker().args(["pull", "--quiet", &format!("{repository}@{digest}")]).run()?;
    Ok(digest)
}

/// As little as a container can have, and as in a cluster: no root, nothing to write, no capability.
const CONFINED: [&str; 7] = [
    "--read-only",
    "--user",
    "65532:65532",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
];

/// A running container, gone when this value is, or when the user interrupts.
pub(crate) struct Container {
    name: String,
}

impl Container {
    pub(crate) fn start(image: &str, name: &str) -> anyhow::Result<Self> {
        let container = Self { name: name.to_owned() };
        remove_when_interrupted(name)?;
        docker()
            .args(["run", "--detach", "--name", name])
            .args(CONFINED)
            .arg(image)
            .read()
            .with_context(|| format!("starting `{image}`"))?;
        Ok(container)
    }

    /// Where other containers of this engine reach it; none once it ended.
    pub(crate) fn address(&self) -> anyhow::Result<Option<String>> {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = docker().args(["inspect", "--format", format, &self.name]).read()?;
        Ok(Some(address.trim().to_owned()).filter(|address| !address.is_empty()))
    }

    /// Runs another program of the same image beside it to its end, a file of ours mounted for it to read.
    pub(crate) fn beside(
        &self,
        image: &str,
        file: (&Path, &str),
        args: &[&str],
    ) -> anyhow::Result<Ended> {
        let (here, there) = file;
        let mount = format!("type=bind,source={},target={there},readonly", here.display());
        let command = docker()
            .args(["run", "--rm", "--name", &helper(&self.name)])
            .args(CONFINED)
            .args(["--mount", &mount, image])
            .args(args);
        let ended = command.end()?;
        match ended.code {
            // Docker's own: it failed, or the program could not be started.
            None | Some(125..=127) => bail!("`{command}` failed: {}", ended.stderr.trim()),
            Some(_) => Ok(ended),
        }
    }

    /// All that it wrote.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        let ended = docker().args(["logs", &self.name]).end()?;
        Ok(ended.stdout + &ended.stderr)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn helper(container: &str) -> String {
    format!("{container}-helper")
}

/// What is not there is as good as removed: so says `--force`.
fn remove(container: &str) {
    let remove = docker().args(["rm", "--force", "--volumes", container, &helper(container)]);
    if !remove.succeeds() {
        step(format_args!("the container is still here: `{remove}` failed"));
    }
}

#[expect(clippy::exit, reason = "an interrupted program ends, and has no caller to return to")]
fn remove_when_interrupted(container: &str) -> anyhow::Result<()> {
    let container = container.to_owned();
    let watched = ctrlc::set_handler(move || {
        remove(&container);
        std::process::exit(130);
    });
    match watched {
        // Who watches already ends what it does, and the container goes with its value.
        Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        watched => watched.context("watching for Ctrl-C"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_neither_stages_nor_arguments() {
        let dockerfile =
            "ARG M\nFROM ${M} AS model\nFROM a:1 AS b\nFROM b AS c\nFROM d\nRUN FROM x";
        assert_eq!(bases(dockerfile), ["a:1", "d"]);
    }
}
