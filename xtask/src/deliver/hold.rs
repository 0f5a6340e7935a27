//! `freeze`, `unfreeze`, `quarantine`: what may not move and what may not run, as a file on main.

use clap::builder::NonEmptyStringValueParser;
use contract::digest::Digest;
use gitops::guards::Guard;
use gitops::plan;
use jiff::Timestamp;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::remote::{Publication, Remote};
use crate::repo::Repo;
use crate::report::{data, step};

/// Stop machines from moving an environment
///
/// Releases and promotions are refused, and a failure pages instead of rolling back. A rollback by
/// hand stays possible.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct FreezeArgs {
    #[command(flatten)]
    hold: HoldArgs,
}

/// Let machines move an environment again
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct UnfreezeArgs {
    #[command(flatten)]
    hold: HoldArgs,
}

#[derive(clap::Args)]
struct HoldArgs {
    /// Name of an environment
    environment: String,
    /// Why, for those who read main later
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    #[command(flatten)]
    publication: Publication,
}

/// Images that were tried and found wrong, and may run nowhere
#[derive(clap::Subcommand)]
pub(crate) enum Quarantine {
    /// Print every quarantined image, with where and why
    #[command(after_help = ending::HELP)]
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Let an image run again, in every environment
    #[command(after_help = ending::HELP)]
    Lift {
        /// Of the image, as `quarantine list` prints it
        digest: Digest,
        /// Why the verdict was wrong, for those who read main later
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        #[command(flatten)]
        publication: Publication,
    },
}

impl FreezeArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let HoldArgs { environment, reason, publication } = self.hold;
        end(publication.publish(repo, &[&environment], |snapshot, environments| {
            plan::freeze(&snapshot.history(&environments[0]), &reason, Timestamp::now())
        }))
    }
}

impl UnfreezeArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let HoldArgs { environment, reason, publication } = self.hold;
        end(publication.publish(repo, &[&environment], |snapshot, environments| {
            plan::unfreeze(&snapshot.history(&environments[0]), &reason)
        }))
    }
}

impl Quarantine {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(match self {
            Self::List { remote } => list(repo, &remote),
            Self::Lift { digest, reason, publication } => {
                publication.publish(repo, &[], |snapshot, _| {
                    // The file is every environment's; a plan speaks of one.
                    let any = snapshot.environments().iter().next();
                    let any = any.ok_or(Guard::NothingToDo)?;
                    plan::lift(&snapshot.history(any), digest, &reason)
                })
            }
        })
    }
}

fn list(repo: &Repo, remote: &Remote) -> Result<(), Stop> {
    let snapshot = remote.snapshot(repo)?;
    let holds = snapshot.holds().map_err(|unreadable| {
        let hint = "git log -p -- kustomize/holds.yaml (docs/runbooks.md#holds-unreadable)";
        Stop::new(Ending::Refused, unreadable.clone(), hint)
    })?;
    for hold in &holds.quarantined {
        let since = hold.since.strftime("%Y-%m-%d %H:%M");
        let (environment, change) = (&hold.environment, hold.change.short());
        data(format_args!("{}  {since}  {environment}  {change}  {}", hold.digest, hold.reason));
    }
    if holds.quarantined.is_empty() {
        step("nothing is quarantined");
    }
    Ok(())
}
