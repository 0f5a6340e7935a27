//! Main as the commands see it: looked at, written to, or only rehearsed. A rehearsal takes every step
//! but the push, so that `--dry-run` is refused by the same guards as the real thing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gitops::decide::Action;
use gitops::environment::Environment;
use gitops::guards::Guard;
use gitops::image_reference::ImageReference;
use gitops::mainline::{Built, MAIN, Mainline, Push, Update, publish};
use gitops::object_id::CommitId;
use gitops::plan::Plan;
use gitops::signing::Demand;
use gitops::snapshot::Snapshot;

use crate::deliver::ending::{Ending, Stop};
use crate::deliver::store::Store;
use crate::mainline::{GitMainline, receive};
use crate::repo::Repo;
use crate::report::{data, step};
use crate::tools::git;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Remote {
    /// Where main lives: a remote of this clone, or an address
    #[arg(long, env = "XTASK_REMOTE", default_value = "origin", value_name = "NAME")]
    remote: String,
    /// Clone to work through, made where there is none, with `--remote` an address [default: the
    /// checkout]
    #[arg(long, env = "XTASK_CLONE", value_name = "DIR")]
    clone: Option<PathBuf>,
}

impl Remote {
    /// The remote that `clone` calls its origin.
    pub(crate) fn of(clone: &Path) -> Self {
        Self { remote: "origin".to_owned(), clone: Some(clone.to_owned()) }
    }

    fn open(&self, repo: &Repo) -> anyhow::Result<GitMainline> {
        let Some(clone) = &self.clone else { return GitMainline::open(repo.root(), &self.remote) };
        // What is needed is fetched, so an empty one will do.
        git::provide_bare(clone)?;
        GitMainline::open(clone, &self.remote)
    }

    /// Where what was fetched is.
    pub(crate) fn repository<'a>(&'a self, repo: &'a Repo) -> &'a Path {
        self.clone.as_deref().unwrap_or(repo.root())
    }

    /// A commit on top of main, or of `beneath`, that nothing points to yet.
    pub(crate) fn commit(
        &self,
        repo: &Repo,
        beneath: Option<CommitId>,
        files: &[(&str, String)],
        message: &str,
    ) -> anyhow::Result<Option<CommitId>> {
        self.open(repo)?.commit(beneath, files, message)
    }

    pub(crate) fn has(&self, repo: &Repo, branch: &str) -> anyhow::Result<bool> {
        self.open(repo)?.has(branch)
    }

    /// Makes it a branch, for people to merge.
    pub(crate) fn propose(
        &self,
        repo: &Repo,
        branch: &str,
        commit: CommitId,
    ) -> anyhow::Result<()> {
        let update = Update { reference: reference(branch), to: commit };
        match self.open(repo)?.push(&[update])? {
            Push::Done => step(format_args!("\npushed as {branch}")),
            Push::Lost => step(format_args!("\nnothing to do: the branch {branch} is there")),
        }
        Ok(())
    }

    pub(crate) fn snapshot(&self, repo: &Repo) -> anyhow::Result<Arc<Snapshot>> {
        self.open(repo)?.load()
    }
}

pub(crate) fn environment(snapshot: &Snapshot, name: &str) -> Result<Environment, Stop> {
    let known = snapshot.environments();
    known
        .parse(name)
        .map_err(|unknown| Stop::new(Ending::Misused, unknown, "cargo xtask status lists them"))
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Publication {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(flatten)]
    pub(crate) store: Store,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Not on main.
    #[arg(skip)]
    pub(crate) onto: Option<Onto>,
}

/// A branch for people to merge. Its last commit is the one that would be made on main.
#[derive(Debug, Clone)]
pub(crate) struct Onto {
    pub(crate) branch: String,
    /// A commit on top of main that goes before.
    pub(crate) after: Option<CommitId>,
}

fn reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Published,
    Rehearsed,
}

impl Publication {
    /// Publishes what `plan` makes of main as it is, or prints it.
    pub(crate) fn publish(
        &self,
        repo: &Repo,
        names: &[&str],
        mut plan: impl FnMut(&Arc<Snapshot>, &[Environment]) -> Result<Plan, Guard>,
    ) -> Result<(), Stop> {
        let mut main = self.open(repo)?;
        let snapshot = main.load()?;
        let environments: Result<Vec<_>, Stop> =
            names.iter().map(|name| environment(&snapshot, name)).collect();
        let environments = environments?;
        let mut images =
            |image: &ImageReference, demand: Demand<'_>| self.store.check(repo, image, demand);
        let published = publish(&mut main, &mut images, |snapshot| plan(snapshot, &environments))?;
        match published {
            Ok(published) => {
                main.tell(&published.plan, published.tries);
                Ok(())
            }
            Err(Guard::NothingToDo) => {
                step(format_args!("nothing to do: {}", Guard::NothingToDo));
                Ok(())
            }
            Err(guard) => {
                // A promotion names its source first.
                let about = match guard {
                    Guard::NotVerified | Guard::NothingReleased => environments.first(),
                    _ => environments.last(),
                };
                Err(match about.or_else(|| snapshot.environments().iter().next()) {
                    Some(environment) => Stop::guard(Ending::of(guard), guard, environment),
                    None => anyhow::anyhow!("{guard}").into(),
                })
            }
        }
    }

    /// The path of every report. What a human has to see is on stdout, and in the exit status.
    pub(crate) fn receive(&self, repo: &Repo, json: &[u8]) -> Result<(), Stop> {
        let mut main = self.open(repo)?;
        let mut images =
            |image: &ImageReference, demand: Demand<'_>| self.store.check(repo, image, demand);
        let outcome = receive(&mut main, &mut images, json).map_err(Stop::of_a_report)?;
        match &outcome.published {
            Some(published) => {
                main.tell(&published.plan, published.tries);
                outcome.action.page().into_iter().for_each(data);
            }
            None => data(&outcome.action),
        }
        let page = match outcome.action {
            Action::MarkVerified(_) | Action::Restore(_) | Action::Nothing(_) => return Ok(()),
            Action::OpenPullRequest(_, page) | Action::Freeze(_, page) | Action::Page(page) => page,
        };
        let ending = match Ending::of(page.guard) {
            Ending::TryAgain => Ending::TryAgain,
            _ => Ending::Paged,
        };
        Err(Stop::guard(ending, page.guard, &page.environment))
    }

    fn open(&self, repo: &Repo) -> anyhow::Result<Main> {
        let effect = if self.dry_run { Effect::Rehearsed } else { Effect::Published };
        Ok(Main { git: self.remote.open(repo)?, effect, onto: self.onto.clone(), seen: None })
    }
}

struct Main {
    git: GitMainline,
    effect: Effect,
    onto: Option<Onto>,
    /// What was looked at serves until something is pushed; who was faster, the push tells.
    seen: Option<Arc<Snapshot>>,
}

impl Main {
    fn tell(&self, plan: &Plan, tries: u32) {
        if let Some(Onto { branch, .. }) = &self.onto {
            data(plan.message().trim_end());
            return step(match self.effect {
                Effect::Published => {
                    format!("\npushed as {branch}; whoever merges it ships the model")
                }
                Effect::Rehearsed => {
                    format!("\nnothing was changed: this is what {branch} would hold")
                }
            });
        }
        data(plan.to_string().trim_end());
        match self.effect {
            Effect::Published if tries == 1 => step("\npublished"),
            Effect::Published => step(format_args!("\npublished, after {tries} tries")),
            Effect::Rehearsed => step("\nnothing was changed: this is what would be published"),
        }
    }
}

impl Mainline for Main {
    type Error = anyhow::Error;

    fn load(&mut self) -> anyhow::Result<Arc<Snapshot>> {
        if let Some(seen) = &self.seen {
            return Ok(seen.clone());
        }
        let snapshot = self.git.load()?;
        self.seen = Some(snapshot.clone());
        Ok(snapshot)
    }

    fn build(&mut self, plan: &Plan) -> anyhow::Result<Built> {
        match self.onto {
            Some(Onto { after: Some(parent), .. }) => {
                self.git.build(&Plan { parent, ..plan.clone() })
            }
            _ => self.git.build(plan),
        }
    }

    fn push(&mut self, updates: &[Update]) -> anyhow::Result<Push> {
        self.seen = None;
        match self.effect {
            Effect::Rehearsed => Ok(Push::Done),
            Effect::Published => match &self.onto {
                None => self.git.push(updates),
                Some(Onto { branch, .. }) => {
                    let elsewhere = |update: &Update| Update {
                        reference: if update.reference == MAIN {
                            reference(branch)
                        } else {
                            update.reference.clone()
                        },
                        ..*update
                    };
                    self.git.push(&updates.iter().map(elsewhere).collect::<Vec<_>>())
                }
            },
        }
    }

    fn back_off(&mut self, lost: u32) {
        self.git.back_off(lost);
    }
}
