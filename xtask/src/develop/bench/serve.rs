//! `bench serve`: our service and a peer under the same load, in one run.
//!
//! Whatever else the machine does at the time strikes all of them: they take turns, and of each the best
//! round counts.

use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::artifact::Artifact;
use contract::digest::Digest;
use contract::probes::Probes;
use serde_json::json;

use super::rows::{self, Row};
use super::subject::Subject;
use super::wrk;
use crate::develop::requirement::Requirement;
use crate::libtorch;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};
use crate::tools::cargo;
use crate::train::data::{Source, TaskFile};
use crate::train::training;

/// Requests per second of our service and of one in Python, each on one core, asked from another
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Artifact folder of our net [default: the one trained last]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Connections that are kept busy
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Times that each server has its turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of one turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Install what is missing of Python: packages in your cache folder
    #[arg(long)]
    install: bool,
}

/// The server has one core, whoever asks it another.
pub(super) const SERVER: &str = "0";
pub(super) const LOAD: &str = "1";
const BOTH: &str = "0,1";

const JSON: &str = "application/json";
/// Images in one request of several.
const TOGETHER: usize = 16;

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        libtorch::ensure(repo)?;
        wrk::demand(repo.root())?;
        let python = peers_python(repo, self.install)?;
        let service = cargo::build(repo, "app", "mnist-api")?;
        let echo = cargo::example(repo, "app", "echo")?;
        let trainer = cargo::build(repo, "model", "model")?;
        let folder = self.model.clone().unwrap_or_else(|| repo.latest_artifact());
        let ours = Artifact::open(&folder).hint("`cargo xtask train` makes an artifact")?;
        let theirs = peers_artifact(repo)?;

        let scratch = tempfile::tempdir()?;
        let bodies = Bodies::write(repo, scratch.path())?;
        let start =
            |cores, command: &dyn Fn(u16) -> Cmd| Subject::start(scratch.path(), cores, command);
        let serve =
            |artifact: &Artifact, port| self::service(&service, scratch.path(), artifact, port);
        let peer = |net: &[&str], port: u16| {
            Cmd::new(&python, scratch.path())
                .arg(repo.path("tests/peers/server.py"))
                .args(["--port", &port.to_string(), "--artifact"])
                .arg(ours.path())
                .args(net)
                .tied_to_us()
        };
        let echo = |port: u16| {
            Cmd::new(&echo, scratch.path()).arg(format!("127.0.0.1:{port}")).tied_to_us()
        };
        let with_our_net = start(SERVER, &|port| serve(&ours, port))?;
        let with_their_net = start(SERVER, &|port| serve(&theirs, port))?;
        let on_both = start(BOTH, &|port| serve(&ours, port))?;
        let peer_with_our_net = start(SERVER, &|port| peer(&[], port))?;
        let peer_with_their_net = start(SERVER, &|port| peer(&["--example-net"], port))?;
        let echo = start(SERVER, &echo)?;

        let json = || (JSON, bodies.image.as_path());
        let mut rows = [
            Row::new("our net", &with_our_net, json()).counted(),
            Row::new("peer's net", &with_their_net, json()).counted(),
            Row::new("peer, our net", &peer_with_our_net, json()),
            Row::new("peer, its own net", &peer_with_their_net, json()),
            Row::new("bare poem, echo", &echo, json()),
            Row::new("our net, PNG", &with_our_net, ("image/png", &bodies.picture)).counted(),
            Row::new("our net, 16 images", &with_our_net, (JSON, &bodies.images))
                .at("/v1/predict/batch")
                .counted(),
            Row::new("our net, both cores", &on_both, json()).counted().asked_from(BOTH),
        ];
        for round in 1..=self.rounds {
            step(format_args!("round {round} of {}", self.rounds));
            for row in &mut rows {
                row.measure(scratch.path(), self.connections, self.seconds)?;
            }
        }
        rows::print(&rows)?;
        let [ours_row, theirs_row, _, peer, echo, ..] = &rows;
        data("");
        for (what, row) in [("our net, peer its own", ours_row), ("the same net", theirs_row)] {
            let (by_clock, by_cost) = (row.rate()? / peer.rate()?, peer.cost() / row.cost());
            data(format_args!(
                "{what}: {by_clock:.1} times as many, {by_cost:.1} by processor time"
            ));
        }
        for (row, artifact) in [(ours_row, &ours), (theirs_row, &theirs)] {
            row.print_limit(forward(&trainer, artifact, row.batch())?, echo)?;
        }
        step("with the command, these belong into docs/performance.md");
        Ok(())
    }
}

/// Ends with us.
pub(super) fn service(program: &Path, folder: &Path, artifact: &Artifact, port: u16) -> Cmd {
    Cmd::new(program, folder)
        .args(["serve", "--drain-pause", "0s", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--model-dir")
        .arg(artifact.path())
        .tied_to_us()
}

fn peers_python(repo: &Repo, install: bool) -> anyhow::Result<PathBuf> {
    Requirement::PythonTorch.provide(repo, install)?;
    let python = Requirement::torch_python();
    let requirements = repo.path("tests/peers/requirements.txt");
    let pip = || Cmd::new(&python, repo.root()).args(["-m", "pip", "--disable-pip-version-check"]);
    if install {
        pip().args(["install", "--quiet", "--requirement"]).arg(requirements).run()?;
    } else if !Cmd::new(&python, repo.root()).args(["-c", "import fastapi, uvicorn"]).succeeds() {
        let missing = anyhow::anyhow!("the peer's packages are not here");
        return Err(missing).hint("`cargo xtask bench serve --install` installs them");
    }
    Ok(python)
}

/// Of the peer's own net, trained once per recipe.
fn peers_artifact(repo: &Repo) -> anyhow::Result<Artifact> {
    let recipe = repo.path("tests/peers/net.yaml");
    let digest = Digest::of_file(&recipe)?.hex();
    let folder = cargo::release_folder()?.with_file_name(format!("bench-peer-{}", &digest[..12]));
    if let Ok(artifact) = Artifact::open(&folder) {
        return Ok(artifact);
    }
    step("training the peer's net");
    let source = Source { task: TaskFile { file: None }, mirror: None };
    let training = training::Args {
        out: Some(folder),
        ..training::Args::of(&recipe.display().to_string(), source)
    };
    let folder = training.trainer(repo)?.read()?;
    Ok(Artifact::open(folder.trim_end().as_ref())?)
}

/// What is posted, as files.
struct Bodies {
    image: PathBuf,
    images: PathBuf,
    picture: PathBuf,
}

impl Bodies {
    fn write(repo: &Repo, folder: &Path) -> anyhow::Result<Self> {
        let (_, pictures) = Probes::from_json(&fs_err::read(repo.probes())?)?;
        let pixels = |index: usize| pictures[index % pictures.len()].1.pixels();
        let bodies = Self {
            image: folder.join("image.json"),
            images: folder.join("images.json"),
            picture: repo.path("app/src/api/example.png"),
        };
        fs_err::write(&bodies.image, json!({ "image": pixels(0) }).to_string())?;
        let images: Vec<_> = (0..TOGETHER).map(pixels).collect();
        fs_err::write(&bodies.images, json!({ "images": images }).to_string())?;
        Ok(bodies)
    }
}

/// Microseconds per image of nothing but the model, in batches of this size.
fn forward(trainer: &Path, artifact: &Artifact, batch: usize) -> anyhow::Result<f64> {
    let bench = Cmd::new(trainer, artifact.path())
        .args(["bench", "forward", "--batches", &batch.to_string(), "--artifact"])
        .arg(artifact.path())
        .on_cores(SERVER);
    let told = bench.read()?;
    let least = told.lines().last().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    least.with_context(|| format!("`{bench}` told no figures:\n{told}"))
}
