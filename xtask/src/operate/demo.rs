//! `demo`: the whole loop without cluster, cloud or network, or with `--cluster` on one.
//!
//! Every act checks what it shows: an act that does not end as told is an error.

mod cluster;
mod performance;

use contract::probes::Probes;

use self::performance::Performance;
use crate::deliver::image::REPOSITORY;
use crate::libtorch;
use crate::operate::rehearsal::live::live;
use crate::operate::rehearsal::models::Workshop;
use crate::operate::rehearsal::script::Script;
use crate::operate::rehearsal::stage::Stage;
use crate::operate::rehearsal::transcript::Transcript;
use crate::operate::rehearsal::{begin, demand_uninterrupted, end_on_interrupt};
use crate::repo::{Repo, read_task};
use crate::report::data;
use crate::tools::kustomize;

/// Play a release, a crash, a wrong model and a fix-forward, from training to revert, on this machine
///
/// No cluster, no cloud, no network: a repository, models and services of its own in a temporary
/// folder. A release is verified and promoted; one that crashes and one that answers wrongly are taken
/// back by a revert on main; one that is overtaken by its fix is left alone.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave repository, images and models for a look afterwards
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    cluster: cluster::Args,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end_on_interrupt()?;
        if self.cluster.cluster {
            return cluster::run(repo, &self.cluster, self.keep);
        }
        let transcript = Transcript::begin();
        libtorch::ensure(repo)?;
        kustomize::provide()?;
        let stage = Stage::at_home(repo)?;
        let played = play(repo, &stage, transcript);
        if self.keep {
            let folder = stage.keep()?;
            data(format_args!("\nkept: {}", folder.display()));
            data(format_args!("  git -C {0}/main.git log main", folder.display()));
            data(format_args!("  cd {0}/clone && cargo xtask history staging", folder.display()));
        }
        demand_uninterrupted()?;
        played
    }
}

fn play(repo: &Repo, stage: &Stage, transcript: Transcript) -> anyhow::Result<()> {
    let workshop = Workshop::open(repo, &stage.path().join("workshop"))?;
    if workshop.is_synthetic() {
        let name = read_task(&repo.task_file())?.data.name;
        transcript
            .say(format_args!("`{name}` is not here: the models learn from generated pictures"));
    }
    let [staging, production] = begin(repo, stage, &workshop)?;
    let probes = fs_err::read(repo.probes())?;
    let (_, pictures) = Probes::from_json(&probes)?;
    let node = stage.path().join("node");
    live(stage, &node, [&staging, &production], &pictures, transcript, |live| {
        let repository = REPOSITORY.to_owned();
        let script = Script { repo, stage, workshop, transcript, repository };
        Performance { script, live }.play()
    })
}
