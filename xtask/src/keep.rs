//! What keeps a model good over the years: commands of `mlops`, which is built when it is wanted and gets what follows
//! the command as it stands.

pub(crate) mod registry;
pub(crate) mod retrain;
pub(crate) mod tracking;
pub(crate) mod tuning;

use std::ffi::OsString;
use std::path::Path;

use crate::process::Cmd;
use crate::repo::Repo;
use crate::tools::cargo;

/// Everything after the command, `--help` included.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Passed {
    /// Becomes `mlops`, so that its exit status is ours.
    pub(crate) fn run(self, repo: &Repo, command: &str) -> anyhow::Result<()> {
        mlops(repo)?.args(command.split(' ')).args(self.args).replace()
    }
}

/// The program, told where things are.
pub(crate) fn mlops(repo: &Repo) -> anyhow::Result<Cmd> {
    mlops_in(repo, &std::env::current_dir()?)
}

/// `data`, about what the checkout versions.
pub(crate) fn data(repo: &Repo) -> anyhow::Result<Cmd> {
    Ok(mlops_in(repo, repo.root())?.arg("data"))
}

fn mlops_in(repo: &Repo, folder: &Path) -> anyhow::Result<Cmd> {
    let program = cargo::build(repo, "mlops", "mlops")?;
    Ok(Cmd::new(program, folder)
        .env("MLOPS_MODEL", repo.latest_artifact())
        .env("MLOPS_RUNS", repo.runs())
        .env("MLOPS_STUDIES", repo.studies()))
}
