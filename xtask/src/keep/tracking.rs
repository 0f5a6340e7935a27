//! `train` or `compress`, and beside it `mlops track --follow` where an MLflow server is named. The training is not kept waiting by
//! it and does not fail for it; whatever goes wrong is one line.

use anyhow::bail;
use jiff::Timestamp;

use crate::keep;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{causes, step};
use crate::train::{compress, training};

/// Train a model and print its artifact folder
///
/// The folder goes to stdout and nothing else does. Ctrl-C stops at the next step; `--resume`
/// continues, and ends with the very model that an uninterrupted training ends with.
#[derive(clap::Args)]
pub(crate) struct Training {
    #[command(flatten)]
    training: training::Args,
    #[command(flatten)]
    server: Server,
}

#[derive(clap::Args)]
pub(crate) struct Compression {
    #[command(flatten)]
    compression: compress::Args,
    #[command(flatten)]
    server: Server,
}

#[derive(clap::Args)]
struct Server {
    /// MLflow server that is told of the training while it runs: http(s)://HOST:PORT
    #[arg(long, env = "MLFLOW_TRACKING_URI", value_name = "URL")]
    tracking_uri: Option<String>,
}

impl Training {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        self.server.run(&self.training.trainer(repo)?, repo)
    }
}

impl Compression {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        self.server.run(&self.compression.compressor(repo)?, repo)
    }
}

impl Server {
    fn run(self, trainer: &Cmd, repo: &Repo) -> anyhow::Result<()> {
        if let Some(uri) = self.tracking_uri.filter(|uri| !uri.is_empty())
            && let Err(error) = follow(repo, &uri)
        {
            let told = causes(&error);
            let first = told.lines().next().unwrap_or_default();
            step(format_args!("not tracked: {first}; `cargo xtask track` sends it later"));
        }
        trainer.replace()
    }
}

/// The trainer will be the process that we are.
fn follow(repo: &Repo, uri: &str) -> anyhow::Result<()> {
    if !(uri.starts_with("http://") || uri.starts_with("https://")) {
        bail!("MLFLOW_TRACKING_URI is not the http(s) address of a server");
    }
    let process = std::process::id().to_string();
    let now = Timestamp::now().as_millisecond().to_string();
    keep::mlops(repo)?
        .args(["track", "--follow", "--process", &process, "--since", &now])
        .env("MLFLOW_TRACKING_URI", uri)
        .detach()
}
