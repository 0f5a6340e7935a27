//! `status`: every environment on one line, as main says it.

use gitops::environment::Environment;
use gitops::history::History;
use gitops::holds::Holds;
use gitops::pin::Pinned;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::remote::Remote;
use crate::repo::Repo;
use crate::report::data;

/// What every environment runs by Git, and whether it was found good
///
/// Reads main where everybody pushes to, and nothing of this checkout. Git is the only source: what a
/// cluster really runs, Argo CD says.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) remote: Remote,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.status(repo))
    }

    fn status(&self, repo: &Repo) -> Result<(), Stop> {
        let snapshot = self.remote.snapshot(repo)?;
        let histories: Vec<_> =
            snapshot.environments().iter().map(|name| snapshot.history(name)).collect();
        if histories.is_empty() {
            let none = anyhow::anyhow!("main has no environment");
            return Err(Stop::new(
                Ending::Misused,
                none,
                "an environment is a folder in kustomize/overlays with a `release` folder",
            ));
        }
        for line in table(&histories) {
            data(line);
        }
        if let Err(unreadable) = snapshot.holds() {
            return Err(Stop::new(
                Ending::Findings,
                unreadable.clone(),
                "git log -p -- kustomize/holds.yaml (docs/runbooks.md#holds-unreadable)",
            ));
        }
        Ok(())
    }
}

fn table(histories: &[History]) -> Vec<String> {
    let rows: Vec<_> = histories
        .iter()
        .map(|history| {
            (history.environment().name().to_owned(), pinned(history), states(history).join(", "))
        })
        .collect();
    let width = |of: fn(&(String, String, String)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (first, second) = (width(|row| row.0.len()), width(|row| row.1.len()));
    rows.iter()
        .map(|(name, pinned, state)| {
            format!("{name:<first$}  {pinned:<second$}  {state}").trim_end().to_owned()
        })
        .collect()
}

fn pinned(history: &History) -> String {
    history.head().map_or(Pinned::Missing, |head| history.pinned(head)).to_string()
}

/// Everything there is to say of an environment, the most telling first.
fn states(history: &History) -> Vec<String> {
    let mut states = Vec::new();
    let Some(head) = history.head() else { return states };
    let pinned = history.pinned(head);
    match &pinned {
        Pinned::Unreleased => {}
        Pinned::Missing => states.push("the pin file is gone".to_owned()),
        Pinned::Unreadable { reason, .. } => states.push(format!("edited by hand: {reason}")),
        Pinned::Pin(_) if history.is_rolled_back(head) => states.push("rolled back".to_owned()),
        Pinned::Pin(_) if history.is_verified(head) => states.push("verified".to_owned()),
        Pinned::Pin(_) => states.push(format!("not verified since {}", head.commit.short())),
    }
    if let (Some(good), false) = (history.last_verified(), history.is_verified(head)) {
        let version = history.pinned(good);
        states.push(format!("last verified {version} at {}", good.commit.short()));
    }
    if let Ok(holds) = history.holds() {
        states.extend(freeze(history.environment(), holds));
        let quarantine = pinned.pin().and_then(|pin| holds.quarantine_of(pin.image.digest()));
        states.extend(quarantine.map(|hold| format!("quarantined: {}", hold.reason)));
    }
    states
}

fn freeze(environment: &Environment, holds: &Holds) -> Option<String> {
    let hold = holds.freeze_of(environment)?;
    Some(format!("frozen since {}: {}", hold.since.strftime("%Y-%m-%d %H:%M"), hold.reason))
}
