//! `image`: the service with one model, as a container image, and proof that it answers.
//!
//! Its name is made from what is in it and nothing else: the commit that last changed the program, and
//! the model. The artifact is an image of its own, from which the service's copies, so another model
//! touches neither the program's layer nor libtorch's.

use std::path::PathBuf;

use anyhow::{Context, bail};
use contract::artifact::Artifact;
use contract::manifest::{Manifest, ModelVersion};
use gitops::image_reference::ImageReference;
use gitops::verdict::Verdict;

use crate::repo::Repo;
use crate::report::{Exit, WithHint, data, step};
use crate::tools::engine::{self, Build, Container};
use crate::tools::git;

/// Build the service's image, and prove that it answers
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Build(BuildArgs),
    Smoke(SmokeArgs),
}

impl Command {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Build(args) => args.run(repo),
            Self::Smoke(args) => args.run(repo),
        }
    }
}

/// Build the image of the service with one model, and print its name
///
/// Two images: the artifact's own, and the service's, which copies from it. Both are built with
/// whatever Docker has cached: after another training, only the model's layer is new.
#[derive(clap::Args)]
pub(crate) struct BuildArgs {
    /// Artifact folder [default: the one trained last]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Also push both, the artifact's to REPOSITORY-model, and print the name with its digest
    #[arg(long, value_name = "REPOSITORY")]
    push: Option<String>,
}

/// Start an image as a cluster would, and let its own smoke test decide
///
/// The container gets no root, no capability, and nothing to write. Exit status 42: the service is
/// wrong; 43: the model is; 75: nothing can be said.
#[derive(clap::Args)]
pub(crate) struct SmokeArgs {
    /// Name of the image, as `image build` prints it
    image: String,
    /// Labelled pictures [default: kustomize/base/smoke/probes.json]
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,
    /// When to stop hoping
    #[arg(long, default_value = "30s", value_name = "TIME")]
    deadline: String,
}

/// Also the name of the target in the Dockerfile.
const REPOSITORY: &str = "mnist-api";
const APP_VERSION_LABEL: &str = "org.opencontainers.image.version";
const MODEL_DIGEST_LABEL: &str = "mnist-api.model.digest";

impl BuildArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        engine::demand()?;
        let folder = self.model.unwrap_or_else(|| repo.latest_artifact());
        let artifact = Artifact::open(&fs_err::canonicalize(&folder)?)
            .hint("`cargo xtask train` makes an artifact")?;
        let program = Program::of(repo)?;
        if program.dirty {
            step("the work tree holds changes that no commit does; the image's name says so");
        }
        let model = model_image(repo, &artifact)?;
        let image = service_image(repo, &program, artifact.manifest(), &model)?;
        match self.push {
            None => data(image),
            Some(repository) => data(push(&repository, &image, &model)?),
        }
        Ok(())
    }
}

/// What the image is built from besides the model.
struct Program {
    /// Commit that last changed it.
    revision: String,
    dirty: bool,
}

impl Program {
    fn of(repo: &Repo) -> anyhow::Result<Self> {
        let content = content(repo)?;
        let revision = git::last_change(repo, &content)
            .context("the commit that the image is made from cannot be told")
            .hint("build in a Git checkout with its whole history: `git fetch --unshallow`")?;
        Ok(Self { revision, dirty: git::differs(repo, &content)? })
    }

    fn version(&self) -> String {
        let dirty = if self.dirty { "-dirty" } else { "" };
        format!("{}-{}{dirty}", env!("CARGO_PKG_VERSION"), &self.revision[..12])
    }
}

/// What `.dockerignore` lets into the build, and itself, as paths for Git.
fn content(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let text = fs_err::read_to_string(repo.path(".dockerignore"))?;
    let path = |line: &str| match line.strip_prefix('!') {
        Some(allowed) => Some(allowed.to_owned()),
        None if line.is_empty() || line.starts_with('#') || line == "*" => None,
        None => Some(format!(":(exclude){line}")),
    };
    let own = ["Dockerfile", ".dockerignore"].map(str::to_owned);
    Ok(text.lines().filter_map(path).chain(own).collect())
}

fn model_image(repo: &Repo, artifact: &Artifact) -> anyhow::Result<String> {
    let manifest = artifact.manifest();
    let tag = model_tag(&manifest.model_version);
    step(format_args!("building {tag}"));
    engine::build(&Build {
        context: artifact.path(),
        dockerfile: &repo.path("model/Dockerfile"),
        target: None,
        args: &[
            ("MODEL_VERSION", manifest.model_version.as_str()),
            ("MODEL_DIGEST", &manifest.model_digest.to_string()),
        ],
        tag: &tag,
    })?;
    Ok(tag)
}

fn model_tag(version: &ModelVersion) -> String {
    format!("{REPOSITORY}-model:{version}")
}

fn service_image(
    repo: &Repo,
    program: &Program,
    manifest: &Manifest,
    model: &str,
) -> anyhow::Result<String> {
    let version = program.version();
    let tag = format!("{REPOSITORY}:{version}-{}", manifest.model_version);
    step(format_args!("building {tag}"));
    engine::build(&Build {
        context: repo.root(),
        dockerfile: &repo.path("Dockerfile"),
        target: Some(REPOSITORY),
        args: &[
            ("MODEL", model),
            ("APP_VERSION", &version),
            ("APP_REVISION", &program.revision),
            ("MODEL_VERSION", manifest.model_version.as_str()),
            ("MODEL_DIGEST", &manifest.model_digest.to_string()),
        ],
        tag: &tag,
    })?;
    Ok(tag)
}

fn push(repository: &str, image: &str, model: &str) -> anyhow::Result<ImageReference> {
    let tag = |name: &str| name.rsplit_once(':').map(|(_, tag)| tag.to_owned()).unwrap_or_default();
    let model_tag = tag(model);
    step(format_args!("pushing {repository}-model:{model_tag}"));
    engine::push(model, &format!("{repository}-model:{model_tag}"))?;
    let tag = tag(image);
    step(format_args!("pushing {repository}:{tag}"));
    let digest = engine::push(image, &format!("{repository}:{tag}"))?;
    Ok(ImageReference::new(repository, &tag, digest)?)
}

impl SmokeArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        engine::demand()?;
        let image = &self.image;
        let labels = engine::labels(image)?;
        let label = |name: &str| {
            labels
                .get(name)
                .with_context(|| format!("`{image}` has no label {name}: not our image"))
        };
        let (version, digest) = (label(APP_VERSION_LABEL)?, label(MODEL_DIGEST_LABEL)?);
        let probes = fs_err::canonicalize(self.probes.unwrap_or_else(|| repo.probes()))?;
        let server =
            Container::start(image, &format!("{REPOSITORY}-smoke-{}", std::process::id()))?;
        let Some(address) = server.address()? else {
            bail!("`{image}` ended at once:\n{}", server.log()?.trim_end());
        };
        let inside = "/probes.json";
        let url = format!("http://{address}:8000");
        let ended = server.beside(
            image,
            (&probes, inside),
            &[
                "smoke",
                &url,
                "--probes",
                inside,
                "--deadline",
                &self.deadline,
                "--expect-app-version",
                version,
                "--expect-model-digest",
                digest,
            ],
        )?;
        step(ended.stderr.trim_end());
        if ended.success {
            data(ended.stdout.trim_end());
            return Ok(());
        }
        step(format_args!("{}\nthe service's log:\n{}", ended.stdout.trim_end(), server.log()?));
        let code = ended.code.unwrap_or(1);
        let verdict = Verdict::of_exit_code(code.into());
        let code = u8::try_from(code).unwrap_or(1);
        Err(Exit { code, message: format!("`{image}` is not fit: {verdict}") }.into())
    }
}
