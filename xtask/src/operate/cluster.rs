//! `cluster`: Argo CD's settings, and what really runs. Git is the only control plane: nothing here deploys.

mod bootstrap;
mod smoke;
mod status;

use crate::deliver::remote::Remote;
use crate::repo::Repo;
use crate::tools::kubectl::Kubectl;

/// Bootstrap Argo CD, and look at what runs where main says
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Bootstrap(bootstrap::Args),
    Status(status::Args),
    Smoke(smoke::Args),
}

impl Command {
    pub(crate) fn status(context: &str, remote: Remote) -> Self {
        Self::Status(status::Args { context: Context::named(context), remote })
    }

    pub(crate) fn smoke(context: &str, environment: &str, remote: Remote) -> Self {
        let env = environment.to_owned();
        Self::Smoke(smoke::Args { env, context: Context::named(context), remote })
    }

    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::Bootstrap(args) => args.run(repo),
            Self::Status(args) => args.run(repo),
            Self::Smoke(args) => args.run(repo),
        }
    }
}

#[derive(clap::Args)]
struct Context {
    /// The kubeconfig's context [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Context {
    fn named(name: &str) -> Self {
        Self { context: Some(name.to_owned()) }
    }

    fn kubectl(&self, repo: &Repo) -> anyhow::Result<Kubectl> {
        Kubectl::of(repo, self.context.as_deref())
    }
}
