//! `drill`: something is lost on a scratch copy and brought back by the commands that people use, against the clock.
//! What comes back is compared with what was there, so a drill that did not recover is an error. Nothing of the
//! checkout is touched.

mod data;
mod deployment;
mod pod;
mod recovery;
mod total;
mod versioned;

use contract::artifact::Artifact;
use contract::probes::Probes;

use self::recovery::Recovery;
use self::versioned::Versioned;
use crate::deliver::image::REPOSITORY;
use crate::libtorch;
use crate::operate::rehearsal::live::{Live, live};
use crate::operate::rehearsal::models::Workshop;
use crate::operate::rehearsal::script::{STAGING, Script};
use crate::operate::rehearsal::stage::Stage;
use crate::operate::rehearsal::transcript::Transcript;
use crate::operate::rehearsal::{begin, demand_uninterrupted, end_on_interrupt};
use crate::repo::Repo;
use crate::report::{WithHint, data};
use crate::tools::kustomize;

/// Lose something on a scratch copy, get it back, and time it
///
/// A repository, data, models and services of its own in a temporary folder; nothing of the checkout is touched. The
/// seconds since the loss go to stdout. A drill that does not end with what was there before it is an error.
/// docs/recovery.md has the same procedures by hand.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What happens
    #[arg(value_enum)]
    drill: Drill,
    /// In `data` and `total`, lose the remote of the data, too: nothing can be recovered then, and the drill has to say so
    #[arg(long)]
    without_remote: bool,
    /// Leave what the drill made for a look afterwards
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Drill {
    /// The process that serves is killed
    Pod,
    /// A model goes out that is healthy and wrong
    Deployment,
    /// Cache and working data are deleted
    Data,
    /// Everything is, but main, the remote of the data, and the images
    Total,
}

/// Where all of it happens, and on whose clock.
struct Scene<'a> {
    repo: &'a Repo,
    stage: &'a Stage,
    transcript: Transcript,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        if self.without_remote && matches!(self.drill, Drill::Pod | Drill::Deployment) {
            return Err(anyhow::anyhow!(
                "no data is lost in this drill, and so no remote is missed"
            ))
            .hint("`--without-remote` goes with `data` and `total`");
        }
        end_on_interrupt()?;
        let transcript = Transcript::begin();
        libtorch::ensure(repo)?;
        kustomize::provide()?;
        let stage = Stage::at_home(repo)?;
        let scene = Scene { repo, stage: &stage, transcript };
        let played = match self.drill {
            Drill::Pod => pod::play(&scene),
            Drill::Deployment => deployment::play(&scene),
            Drill::Data => data::play(&scene, self.without_remote),
            Drill::Total => total::play(&scene, self.without_remote),
        };
        if self.keep {
            data(format_args!("\nkept: {}", stage.keep()?.display()));
        }
        // What failed after it was told to end did so for that.
        demand_uninterrupted()?;
        data(format_args!("\n{}", played?));
        Ok(())
    }
}

impl<'a> Scene<'a> {
    fn script(&self) -> anyhow::Result<Script<'a>> {
        let Self { repo, stage, transcript } = *self;
        let workshop = Workshop::open(repo, &stage.path().join("workshop"))?;
        let repository = REPOSITORY.to_owned();
        Ok(Script { repo, stage, workshop, transcript, repository })
    }

    /// Staging runs a model that was found good, and somebody keeps asking it.
    fn while_staging_runs<T>(
        &self,
        model: impl FnOnce(&Workshop<'_>) -> anyhow::Result<Artifact>,
        play: impl FnOnce(&Script<'_>, &Live<'_, '_, 1>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Self { repo, stage, transcript } = *self;
        let script = self.script()?;
        let [staging, _] = begin(repo, stage, &script.workshop)?;
        let artifact = model(&script.workshop)?;
        let (_, pictures) = Probes::from_json(&fs_err::read(repo.probes())?)?;
        live(stage, &stage.path().join("node"), [&staging], &pictures, transcript, |live| {
            script.release(&artifact)?;
            script.handle(&live.next_event()?)?;
            script.demand_verified(STAGING)?;
            live.visitors[0].begin()?;
            play(&script, live)
        })
    }
}
