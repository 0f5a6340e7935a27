//! `promote`: one environment takes over the pin that another has verified.

use gitops::plan;

use crate::deliver::ending::{self, end};
use crate::deliver::remote::Publication;
use crate::repo::Repo;

/// Let one environment run what another one has verified
///
/// One commit on main that writes the target's pin file and nothing else. Refused while the source is
/// not verified, the target waits for a verdict, or either image or environment is held.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Environment that has it verified
    #[arg(long, value_name = "ENV")]
    pub(crate) from: String,
    /// Environment to run it next
    #[arg(long, value_name = "ENV")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) publication: Publication,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let names = [self.from.as_str(), self.to.as_str()];
        end(self.publication.publish(repo, &names, |snapshot, environments| {
            let [from, to] = [0, 1].map(|place| snapshot.history(&environments[place]));
            plan::promote(&from, &to)
        }))
    }
}
