//! `image`: the service with one model, as a container image, and proof that it answers.
//!
//! Its name is made from what is in it and nothing else: the commit that last changed the program, and
//! the model. The artifact is an image of its own, from which the service's copies, so another model
//! touches neither the program's layer nor libtorch's.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::digest::Digest;
use gitops::pin::Pin;
use gitops::verdict::Verdict;
use serde::Serialize;

use crate::deliver::assembly::{APP_VERSION_LABEL, MODEL_DIGEST_LABEL};
use crate::deliver::content::Content;
use crate::deliver::models::{Models, repository_of_models};
use crate::deliver::program::Program;
use crate::deliver::scan;
use crate::deliver::store::Store;
use crate::deliver::tools_image;
use crate::reconciler::Node;
use crate::repo::Repo;
use crate::report::{Exit, WithHint, data, step};
use crate::tools::engine::{self, Build, Container, Files};
use crate::tools::registry::Repository;

/// Build the service's image, prove that it answers, and say what is in it
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Build(BuildArgs),
    Smoke(SmokeArgs),
    Scan(scan::Args),
    /// Build the image of `xtask` itself, for pods that handle reports, and print its name
    ///
    /// From the newest commit, whatever the work tree holds. It has git and no compiler, runs as nobody on a
    /// read-only root, and writes only below /clone: mount an empty volume there, set `XTASK_REMOTE` to the
    /// repository's address, and call it as you would call `cargo xtask`. Beside it is `gitops-listen`, which
    /// takes Argo CD's reports and hands them to it.
    Gitops(tools_image::Args),
    /// Build the image that trains in pods, and print its name
    ///
    /// From the newest commit, whatever the work tree holds: git, `xtask`, and `model`, `mlops` and libtorch in
    /// /app. It runs as nobody on a read-only root, and writes only below /work: mount an empty volume there.
    /// `argocd/retrain` is a `CronJob` of it, and `tune --render-job` prints a Job.
    Trainer(tools_image::Args),
}

impl Command {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Build(args) => args.run(repo),
            Self::Smoke(args) => args.run(repo),
            Self::Scan(args) => args.run(repo),
            Self::Gitops(args) => tools_image::Image::Gitops.run(repo, &args),
            Self::Trainer(args) => tools_image::Image::Trainer.run(repo, &args),
        }
    }
}

/// Build the image of the service with one model, and print its name
///
/// Two images: the artifact's own, and the service's, which copies from it. Both are built with
/// whatever Docker has cached: after another training, only the model's layer is new.
#[derive(clap::Args)]
pub(crate) struct BuildArgs {
    /// Artifact folder, or the artifact's own image as NAME@sha256:… [default: the one trained last]
    #[arg(long, value_name = "DIR|IMAGE")]
    model: Option<String>,
    /// Also push both, the artifact's to REPOSITORY-model, and print the name with its digest; what is
    /// there already is found by its name, and neither built nor pushed
    #[arg(long, value_name = "REPOSITORY")]
    push: Option<String>,
    /// Print one JSON object: what was pushed, and whether it was built just now
    #[arg(long, requires = "push")]
    json: bool,
    #[command(flatten)]
    store: Store,
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
pub(crate) const REPOSITORY: &str = "mnist-api";

/// What was pushed, as JSON. Fields are added and never renamed.
#[derive(Serialize)]
struct Pushed {
    /// The service's, as a pin names it.
    image: String,
    digest: String,
    /// The artifact's own, as `release --model` takes it.
    model: String,
    /// Not found, so made from this checkout.
    built: bool,
}

impl BuildArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let scratch = tempfile::tempdir().context("making a folder for artifacts")?;
        let models = Models { repo, store: &self.store, scratch: scratch.path() };
        let artifact = models.candidate(self.model.as_deref())?;
        let program = Program::of(repo)?;
        if program.dirty {
            step("the work tree holds changes that no commit does; the image's name says so");
        }
        let in_layout = self.store.layout.as_ref().map(|_| REPOSITORY);
        let repository = self.push.as_deref().or(in_layout);
        let content = Content {
            artifact: &artifact,
            program: &program,
            repository: repository.unwrap_or(REPOSITORY),
        };
        if repository.is_none() {
            engine::demand()?;
            data(build(repo, &content)?.service);
            return Ok(());
        }
        let found = content
            .find(&self.store)
            .hint("`docker login` to the registry; without one, `--push` has nowhere to look")?;
        let built = found.is_none();
        let pin = match found {
            Some(pin) => pin,
            None => content.make(repo, &self.store)?,
        };
        if !built {
            step(format_args!("{} is there already", pin.image));
        }
        if !self.json {
            data(pin.image);
            return Ok(());
        }
        let digest = pin.image.digest().to_string();
        let model = content.model(&self.store)?;
        let pushed = Pushed { image: pin.image.to_string(), digest, model, built };
        data(serde_json::to_string(&pushed)?);
        Ok(())
    }
}

/// Both images as the engine has them, under the names of their content.
struct Built {
    service: String,
    model: String,
}

fn build(repo: &Repo, content: &Content<'_>) -> anyhow::Result<Built> {
    let (artifact, program) = (content.artifact, content.program);
    let manifest = artifact.manifest();
    let (version, digest) = (manifest.model_version.as_str(), manifest.model_digest.to_string());
    let models = repository_of_models(REPOSITORY);
    let model = format!("{models}:{version}");
    step(format_args!("building {model}"));
    engine::build(&Build {
        context: Files::Folder(artifact.path()),
        dockerfile: &repo.path("model/Dockerfile"),
        target: None,
        args: &[("MODEL_VERSION", version), ("MODEL_DIGEST", &digest)],
        tag: &model,
    })?;
    let service = format!("{REPOSITORY}:{}", content.tag());
    step(format_args!("building {service}"));
    engine::build(&Build {
        context: Files::Folder(repo.root()),
        dockerfile: &repo.path("Dockerfile"),
        target: Some(REPOSITORY),
        args: &[
            ("MODEL", &model),
            ("APP_VERSION", &program.version()),
            ("APP_REVISION", &program.revision),
            ("MODEL_VERSION", version),
            ("MODEL_DIGEST", &digest),
        ],
        tag: &service,
    })?;
    Ok(Built { service, model })
}

impl Built {
    /// The digest that the registry knows the service's image by.
    fn push(&self, content: &Content<'_>) -> anyhow::Result<Digest> {
        let version = content.artifact.manifest().model_version.as_str();
        let models = repository_of_models(content.repository);
        // A version names the weights, and what was pushed first stays what it is: it is what a later gate
        // fetches as the champion.
        if Repository::open(&models).resolve(version)?.is_none() {
            let model = format!("{models}:{version}");
            step(format_args!("pushing {model}"));
            engine::push(&self.model, &model)?;
        }
        let service = format!("{}:{}", content.repository, content.tag());
        step(format_args!("pushing {service}"));
        engine::push(&self.service, &service)
    }
}

pub(crate) fn build_and_push(repo: &Repo, content: &Content<'_>) -> anyhow::Result<Digest> {
    engine::demand()?;
    build(repo, content)?.push(content)
}

impl SmokeArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        engine::demand()?;
        let probes = self.probes.unwrap_or_else(|| repo.probes());
        let labels = engine::labels(&self.image)?;
        let label = |name: &str| {
            let label = labels.get(name);
            label.with_context(|| format!("`{}` has no label {name}: not our image", self.image))
        };
        let promised = (label(APP_VERSION_LABEL)?.as_str(), label(MODEL_DIGEST_LABEL)?.as_str());
        data(smoke(&self.image, &probes, &self.deadline, promised)?.trim_end());
        Ok(())
    }
}

/// The report of a service that is fit; an error with the smoke test's own exit status otherwise.
fn smoke(
    image: &str,
    probes: &Path,
    deadline: &str,
    (version, digest): (&str, &str),
) -> anyhow::Result<String> {
    let probes = fs_err::canonicalize(probes)?;
    let server = Container::start(image, &format!("{REPOSITORY}-smoke-{}", std::process::id()))?;
    let Some(address) = server.address()? else {
        bail!("`{image}` ended at once:\n{}", server.log()?.trim_end());
    };
    let inside = "/probes.json";
    let url = format!("http://{address}:8000");
    let args = smoke_arguments(&url, inside, deadline, version, digest);
    let ended = server.beside(image, (&probes, inside), &args)?;
    step(ended.stderr.trim_end());
    if ended.success {
        return Ok(ended.stdout);
    }
    step(format_args!("{}\nthe service's log:\n{}", ended.stdout.trim_end(), server.log()?));
    Err(unfit(image, ended.code))
}

/// Tries out exactly what a pin would run, wherever it lives.
pub(crate) fn demand_fit(repo: &Repo, store: &Store, pin: &Pin) -> anyhow::Result<()> {
    const DEADLINE: &str = "30s";
    let image = &pin.image;
    step(format_args!("trying out {image}"));
    let (version, model) = (pin.app_version.as_str(), pin.model_digest.to_string());
    let Some(layout) = store.create()? else {
        let digest = format!("{}@{}", image.repository(), image.digest());
        if !engine::provide(&digest) {
            bail!("the engine cannot fetch `{digest}`");
        }
        return smoke(&digest, &repo.probes(), DEADLINE, (version, &model)).map(drop);
    };
    let folder = tempfile::tempdir().context("making a folder for a root filesystem")?;
    let node = Node::new(layout, folder.path())?;
    let probes = repo.probes().display().to_string();
    let ended = node.try_out(image, |url| {
        smoke_arguments(url, &probes, DEADLINE, version, &model).map(str::to_owned).to_vec()
    })?;
    step(ended.stderr.trim_end());
    if ended.success { Ok(()) } else { Err(unfit(&image.to_string(), ended.code)) }
}

pub(crate) fn smoke_arguments<'a>(
    url: &'a str,
    probes: &'a str,
    deadline: &'a str,
    version: &'a str,
    digest: &'a str,
) -> [&'a str; 10] {
    let expected = ["--expect-app-version", version, "--expect-model-digest", digest];
    let [a, b, c, d] = expected;
    ["smoke", url, "--probes", probes, "--deadline", deadline, a, b, c, d]
}

fn unfit(image: &str, code: Option<i32>) -> anyhow::Error {
    let code = code.unwrap_or(1);
    let verdict = Verdict::of_exit_code(code.into());
    let code = u8::try_from(code).unwrap_or(1);
    Exit { code, message: format!("`{image}` is not fit: {verdict}") }.into()
}
