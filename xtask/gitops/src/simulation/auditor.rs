//! Looks at every commit and every mark on main and knows what must never be. Shares no code with the
//! decisions: it compares trees, not histories.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::SignedDuration;

use crate::change::Entry;
use crate::environment::Part;
use crate::holds::Holds;
use crate::object_id::CommitId;
use crate::pin::Pinned;
use crate::snapshot::{Blobs, Commit, Mark, MarkKind};
use crate::trailers::{Key, Trailers};

type Tree = BTreeMap<String, Entry>;

/// What must hold and did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

macro_rules! demand {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(Violation(format!($($text)+)));
        }
    };
}

#[derive(Debug, Default)]
pub struct Auditor {
    log: Vec<Commit>,
    positions: HashMap<CommitId, usize>,
    trees: Vec<Arc<Tree>>,
    marks: Vec<Mark>,
    blobs: Blobs,
    /// States for which a smoke test truly passed.
    passed: BTreeSet<(String, State)>,
    undone: BTreeSet<(String, CommitId)>,
    /// Commits of which somebody was told that they are on main.
    acknowledged: Vec<CommitId>,
}

/// All files an environment is rendered from; a pin by its value, so that a comment is no difference.
type State = (String, Vec<(String, Entry)>);

impl Auditor {
    /// A smoke test passed at this revision.
    pub fn passed(&mut self, environment: &str, revision: CommitId) {
        if let Some(position) = self.position(revision) {
            let state = self.state(environment, position);
            self.passed.insert((environment.to_owned(), state));
        }
    }

    pub fn acknowledge(&mut self, commits: impl IntoIterator<Item = CommitId>) {
        self.acknowledged.extend(commits);
    }

    pub fn commits(&self) -> usize {
        self.log.len()
    }

    pub fn marks(&self) -> usize {
        self.marks.len()
    }

    pub fn absorb(
        &mut self,
        log: Vec<Commit>,
        marks: Vec<Mark>,
        blobs: Blobs,
    ) -> Result<(), Violation> {
        let known = self.log.len();
        let kept = log.len() >= known && log.iter().zip(&self.log).all(|(a, b)| a.id == b.id);
        demand!(kept, "main was rewritten");
        let lost = self.marks.iter().find(|mark| !marks.contains(mark));
        demand!(lost.is_none(), "a mark was moved or deleted: {lost:?}");
        for (position, commit) in log.iter().enumerate().skip(known) {
            self.positions.insert(commit.id, position);
            let mut tree = self.trees.last().map(|tree| (**tree).clone()).unwrap_or_default();
            for touched in &commit.touched {
                match touched.entry {
                    Some(entry) => tree.insert(touched.path.clone(), entry),
                    None => tree.remove(&touched.path),
                };
            }
            self.trees.push(Arc::new(tree));
        }
        self.log = log;
        self.blobs = blobs;
        let lost = self.acknowledged.iter().find(|commit| self.position(**commit).is_none());
        demand!(lost.is_none(), "{lost:?} was on main and is gone");
        for mark in marks.iter().filter(|mark| !self.marks.contains(mark)) {
            self.audit_mark(mark)?;
        }
        for position in known..self.log.len() {
            let trailers = Trailers::parse(&self.log[position].message);
            if trailers.get(Key::ChangeKind) == Some("rollback") {
                self.audit_rollback(position, &trailers, &marks)?;
            }
        }
        self.marks = marks;
        Ok(())
    }

    fn audit_mark(&self, mark: &Mark) -> Result<(), Violation> {
        if mark.kind == MarkKind::Verified {
            let position = self.position(mark.change);
            demand!(position.is_some(), "a commit that is not on main is verified: {mark:?}");
            let state = self.state(&mark.environment, position.unwrap_or_default());
            let passed = self.passed.contains(&(mark.environment.clone(), state));
            demand!(passed, "verified without a smoke test that passed: {mark:?}");
        }
        Ok(())
    }

    fn audit_rollback(
        &mut self,
        position: usize,
        trailers: &Trailers,
        marks: &[Mark],
    ) -> Result<(), Violation> {
        let commit = &self.log[position];
        let id = commit.id;
        let mut parts = commit.touched.iter().map(|touched| Part::of(&touched.path));
        let environments: BTreeSet<String> = parts
            .clone()
            .filter_map(|part| match part {
                Part::Pin(environment) => Some(environment.name().to_owned()),
                _ => None,
            })
            .collect();
        let owned = parts.all(|part| matches!(part, Part::Pin(_) | Part::Holds));
        demand!(owned && environments.len() == 1, "{id} touches what a rollback does not own");
        let environment = environments.into_iter().next().unwrap_or_default();

        let undone = trailers.commit(Key::RollbackOf);
        demand!(undone.is_some(), "{id} does not say what it undoes");
        let first = self.undone.insert((environment.clone(), undone.unwrap_or(id)));
        demand!(first, "{undone:?} was rolled back twice");

        let good = trailers.commit(Key::Restores);
        let good_position = good.and_then(|good| self.position(good));
        demand!(good_position.is_some(), "{id} does not say what it restores");
        let good_position = good_position.unwrap_or_default();
        let pin_file = pin_file(&environment);
        let same_bytes =
            self.trees[position].get(&pin_file) == self.trees[good_position].get(&pin_file);
        demand!(same_bytes, "{id} does not restore the bytes of {good:?}");
        let verified = marks.iter().any(|mark| {
            mark.kind == MarkKind::Verified
                && mark.environment == environment
                && Some(mark.change) == good
        });
        demand!(verified, "{id} restores what was not verified");
        let restored = self.pinned(&environment, position);
        let tried = self
            .passed
            .iter()
            .any(|(name, (pin, _))| *name == environment && *pin == format!("{restored:?}"));
        demand!(tried, "{id} restores what never passed a smoke test");
        let held = restored.pin().is_some_and(|pin| {
            let digest = pin.image.digest();
            [position - 1, position]
                .iter()
                .any(|at| self.holds(*at).is_none_or(|holds| holds.quarantine_of(digest).is_some()))
        });
        demand!(!held, "{id} restores a quarantined image");

        match trailers.commit(Key::FailedRevision) {
            Some(failed) => {
                self.audit_automatic(position, &environment, trailers, failed, good_position)
            }
            None => Ok(()),
        }
    }

    /// What a machine decided alone must hold more.
    fn audit_automatic(
        &self,
        position: usize,
        environment: &str,
        trailers: &Trailers,
        failed: CommitId,
        good: usize,
    ) -> Result<(), Violation> {
        let commit = &self.log[position];
        let id = commit.id;
        let failed_position = self.position(failed);
        demand!(failed_position.is_some(), "{id} undoes {failed}, which is not on main");
        let failed_position = failed_position.unwrap_or_default();
        let pin = self.pinned(environment, failed_position);
        let superseded = (failed_position..position).any(|at| self.pinned(environment, at) != pin);
        demand!(!superseded, "{id} undoes {failed}, which was superseded");

        let before = self.state(environment, position - 1);
        let was_good = self.marks.iter().any(|mark| {
            mark.kind == MarkKind::Verified
                && mark.environment == environment
                && self.position(mark.change).is_some_and(|at| {
                    at >= failed_position && self.state(environment, at) == before
                })
        });
        demand!(!was_good, "{id} undoes a state that was verified since {failed}");

        let frozen = self.holds(position - 1).is_none_or(|holds| {
            holds.frozen.iter().any(|freeze| freeze.environment == environment)
        });
        demand!(!frozen, "{id} moves a frozen environment");

        let newest = (0..=failed_position).rev().find(|at| self.alters(environment, *at));
        let kind = newest.map(|at| Trailers::parse(&self.log[at].message));
        let is_rollback = kind.is_some_and(|kind| kind.get(Key::ChangeKind) == Some("rollback"));
        demand!(!is_rollback, "{id} rolls back a rollback");

        let day = SignedDuration::from_hours(24);
        let recent = self.log[..position].iter().zip(&self.trees).skip(1).filter(|(other, _)| {
            let kind = Trailers::parse(&other.message);
            kind.get(Key::ChangeKind) == Some("rollback")
                && other.touched.iter().any(|touched| touched.path == pin_file(environment))
                && commit.committed_at.duration_since(other.committed_at) < day
        });
        demand!(recent.count() < 2, "{id} is the third rollback within a day");

        let verdict = trailers.get(Key::Verdict).unwrap_or_default();
        let condemned = ["app-wrong", "model-wrong"].contains(&verdict);
        demand!(condemned || verdict == "rollout-failed", "{id} acts on `{verdict}`");
        let config = |at: usize| self.state(environment, at).1;
        if config(position) != config(good) {
            demand!(condemned, "{id} is not byte-identical, and its verdict does not allow that");
            for at in good + 1..position {
                let name = self.log[at].id.short();
                let named = commit.message.contains(&name) || config(at) == config(at - 1);
                demand!(named, "{id} does not name {name}, which changed configuration");
            }
        }
        let added = |at: usize| self.holds(at).map_or(0, |holds| holds.quarantined.len());
        let quarantines = added(position) > added(position - 1);
        demand!(!quarantines || condemned, "{id} quarantines on `{verdict}`");
        let digest = pin.pin().map(|pin| pin.image.digest());
        let is_held = digest.is_none_or(|digest| {
            self.holds(position).is_some_and(|holds| holds.quarantine_of(digest).is_some())
        });
        demand!(!condemned || is_held, "{id} lets a condemned image run again");
        Ok(())
    }

    fn alters(&self, environment: &str, at: usize) -> bool {
        self.log[at].touched.iter().any(|touched| match Part::of(&touched.path) {
            Part::Pin(own) | Part::Overlay(own) => own.name() == environment,
            Part::Shared => true,
            Part::Holds | Part::Signing | Part::Other => false,
        })
    }

    fn position(&self, commit: CommitId) -> Option<usize> {
        self.positions.get(&commit).copied()
    }

    fn pinned(&self, environment: &str, at: usize) -> Pinned {
        let Some(entry) = self.trees[at].get(&pin_file(environment)) else {
            return Pinned::Missing;
        };
        self.blobs[&entry.blob].pinned(entry.blob).clone()
    }

    fn state(&self, environment: &str, at: usize) -> State {
        let config = self.trees[at].iter().filter(|(path, _)| match Part::of(path) {
            Part::Overlay(own) => own.name() == environment,
            Part::Shared => true,
            _ => false,
        });
        let config = config.map(|(path, entry)| (path.clone(), *entry)).collect();
        (format!("{:?}", self.pinned(environment, at)), config)
    }

    /// None where the file cannot be read.
    fn holds(&self, at: usize) -> Option<Holds> {
        match self.trees[at].get("kustomize/holds.yaml") {
            Some(entry) => Holds::read(self.blobs.get(&entry.blob)?.content()).ok(),
            None => Some(Holds::default()),
        }
    }
}

fn pin_file(environment: &str) -> String {
    format!("kustomize/overlays/{environment}/release/kustomization.yaml")
}
