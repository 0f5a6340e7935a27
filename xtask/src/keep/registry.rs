//! `registry`: which models main calls champion and previous, handed to `mlops`, which speaks to MLflow. Git is what
//! decides; the aliases follow.

use gitops::history::History;

use crate::deliver::ending::{self, Stop, end};
use crate::deliver::remote::{Remote, environment};
use crate::keep;
use crate::process::Cmd;
use crate::repo::{Repo, read_task};

/// Make MLflow's aliases `champion` and `previous` say what main says
///
/// The champion is the model of the environment's newest verified Change that was neither rolled back nor put under
/// quarantine, and previous is the model before it. A rollback moves both, so run this after each change. The models'
/// runs have to be at MLflow: `cargo xtask track` sends them. The server is named by `MLFLOW_TRACKING_URI`.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Name of an environment
    #[arg(default_value = "production")]
    environment: String,
    /// Name of the registered model [default: the task's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.registry(repo))
    }

    fn registry(self, repo: &Repo) -> Result<(), Stop> {
        let snapshot = self.remote.snapshot(repo)?;
        let environment = environment(&snapshot, &self.environment)?;
        let model = match self.model {
            Some(name) => name,
            None => read_task(&repo.task_file())?.name,
        };
        let mlops = keep::mlops(repo)?.args(["registry", "--model", &model]);
        Ok(with_aliases(mlops, &snapshot.history(&environment)).run()?)
    }
}

fn with_aliases(mlops: Cmd, history: &History) -> Cmd {
    let mut models = history.restorable().map(|(_, pin)| pin.model_digest);
    let Some(champion) = models.next() else { return mlops };
    let mlops = mlops.args(["--champion", &champion.to_string()]);
    match models.find(|model| *model != champion) {
        Some(previous) => mlops.args(["--previous", &previous.to_string()]),
        None => mlops,
    }
}
