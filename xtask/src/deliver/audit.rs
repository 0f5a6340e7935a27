//! `audit`: whether what main says of itself is true. Pins say what runs; trailers and marks say why,
//! and both can be edited by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gitops::change::{Change, Kind};
use gitops::environment::Environment;
use gitops::history::History;
use gitops::object_id::CommitId;
use gitops::pin::Pinned;
use gitops::snapshot::{MarkKind, Snapshot};
use gitops::trailers::Key;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::remote::Remote;
use crate::repo::Repo;
use crate::report::{data, step};

/// Whether trailers, marks, holds and pins of main agree with each other
///
/// A finding is a contradiction, or something that must not be as it is now. A note is what somebody
/// did by hand, and may do.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Finding,
    Note,
}

struct Remark {
    weight: Weight,
    about: String,
    text: String,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.audit(repo))
    }

    fn audit(&self, repo: &Repo) -> Result<(), Stop> {
        let snapshot = self.remote.snapshot(repo)?;
        let remarks = Audit::of(&snapshot).remarks();
        remarks.iter().for_each(data);
        let findings = remarks.iter().filter(|remark| remark.weight == Weight::Finding).count();
        step(format_args!("{findings} findings, {} notes", remarks.len() - findings));
        if findings == 0 {
            return Ok(());
        }
        let what = anyhow::anyhow!("main contradicts itself");
        let hint = "git show COMMIT of each, and cargo xtask history ENV for what surrounds it";
        Err(Stop::new(Ending::Findings, what, hint))
    }
}

struct Audit<'a> {
    snapshot: &'a Snapshot,
    histories: BTreeMap<&'a str, Indexed>,
}

struct Indexed {
    history: History,
    /// Place of each Change in its history.
    places: BTreeMap<CommitId, usize>,
}

impl Indexed {
    fn change(&self, commit: CommitId) -> Option<&Change> {
        self.history.changes().get(*self.places.get(&commit)?)
    }
}

impl<'a> Audit<'a> {
    fn of(snapshot: &'a Arc<Snapshot>) -> Self {
        let index = |environment: &'a Environment| {
            let history = snapshot.history(environment);
            let changes = history.changes().iter().enumerate();
            let places = changes.map(|(place, change)| (change.commit, place)).collect();
            (environment.name(), Indexed { history, places })
        };
        Self { snapshot, histories: snapshot.environments().iter().map(index).collect() }
    }

    fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for indexed in self.histories.values() {
            let mut undone = BTreeMap::new();
            for change in indexed.history.changes() {
                let mut remark = |weight, text| {
                    let about =
                        format!("{} {}", indexed.history.environment(), change.commit.short());
                    remarks.push(Remark { weight, about, text });
                };
                for text in self.contradictions(indexed, change) {
                    remark(Weight::Finding, text);
                }
                if let Some(text) = by_hand(indexed, change) {
                    remark(Weight::Note, text);
                }
                let undoes = change.rollback_of();
                if let Some(first) = undoes.and_then(|id| undone.insert(id, change.commit)) {
                    let text = format!("{} undid the same change before", first.short());
                    remark(Weight::Finding, text);
                }
            }
            remarks.extend(now(&indexed.history));
        }
        remarks.extend(self.marks());
        remarks.extend(self.holds());
        remarks.extend(signing(self.snapshot));
        remarks
    }

    /// What a machine's commit says of itself and is not so.
    fn contradictions(&self, indexed: &Indexed, change: &Change) -> Vec<String> {
        let mut found = Vec::new();
        match change.kind {
            Kind::Promotion => found.extend(self.wrong_source(indexed, change)),
            Kind::Rollback => {
                let undone = change.rollback_of().filter(|id| indexed.change(*id).is_some());
                if undone.is_none() {
                    found.push("it undoes a change that is not on main".to_owned());
                }
                let restored = change.trailers.commit(Key::Restores);
                match restored.and_then(|id| indexed.change(id)) {
                    None => found.push("it restores a change that is not on main".to_owned()),
                    Some(good) if !indexed.history.same_pin(good, change) => {
                        found.push(format!("it does not have the pin of {}", good.commit.short()));
                    }
                    Some(good) if !indexed.history.is_verified(good) => {
                        found.push(format!("it restores {}, never verified", good.commit.short()));
                    }
                    Some(_) => {}
                }
            }
            Kind::Release | Kind::Hold | Kind::Foreign => {}
        }
        found
    }

    fn wrong_source(&self, indexed: &Indexed, change: &Change) -> Option<String> {
        let Some(verified_in) = change.trailers.get(Key::VerifiedIn) else {
            return Some("it was promoted from nowhere".to_owned());
        };
        let source = verified_in.split_once('@').and_then(|(name, commit)| {
            let from = self.histories.get(name)?;
            Some((from, from.change(commit.parse().ok()?)?))
        });
        let Some((from, source)) = source else {
            return Some(format!("its source {verified_in} is not on main"));
        };
        if !from.history.is_verified(source) {
            return Some(format!("its source {verified_in} is not verified"));
        }
        let same = from.history.pinned(source) == indexed.history.pinned(change);
        (!same).then(|| format!("it does not have the pin of {verified_in}"))
    }

    fn marks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for mark in self.snapshot.marks() {
            let found = self.histories.get(mark.environment.as_str());
            let change = found.and_then(|indexed| indexed.change(mark.change));
            let by = found.and_then(|indexed| indexed.change(mark.target));
            let text = match (mark.kind, change) {
                (_, None) => "marks what is no change of this environment",
                (MarkKind::RolledBack, Some(_))
                    if by.and_then(Change::rollback_of) != Some(mark.change) =>
                {
                    "points to what is no rollback of this change"
                }
                _ => continue,
            };
            let kind = match mark.kind {
                MarkKind::Verified => "verified",
                MarkKind::RolledBack => "rollback",
                MarkKind::Proposed => "proposal",
            };
            let about = format!("{kind}/{}/{}", mark.environment, mark.change.short());
            remarks.push(Remark { weight: Weight::Finding, about, text: text.to_owned() });
        }
        remarks
    }

    fn holds(&self) -> Vec<Remark> {
        let finding = |text| {
            let about = gitops::environment::HOLDS.to_owned();
            Remark { weight: Weight::Finding, about, text }
        };
        match self.snapshot.holds() {
            Err(unreadable) => vec![finding(format!("cannot be read: {}", unreadable.0))],
            Ok(holds) => {
                let known = |name: &str| self.histories.contains_key(name);
                let unknown = holds.frozen.iter().filter(|freeze| !known(&freeze.environment));
                unknown
                    .map(|freeze| finding(format!("`{}` is no environment", freeze.environment)))
                    .collect()
            }
        }
    }
}

/// Else the first promotion or rollback that it stops would be the one to tell.
fn signing(snapshot: &Snapshot) -> Option<Remark> {
    let unreadable = snapshot.signing().err()?;
    let about = gitops::environment::SIGNING.to_owned();
    let text = format!("cannot be read, so no image may be pinned: {}", unreadable.0);
    Some(Remark { weight: Weight::Finding, about, text })
}

/// What a human did to the pin, or a machine's commit that a human enlarged.
fn by_hand(indexed: &Indexed, change: &Change) -> Option<String> {
    let is_first = indexed.places.get(&change.commit) == Some(&0);
    if change.kind != Kind::Foreign || !change.alters_pin || is_first {
        return None;
    }
    let claimed = change.trailers.get(Key::ChangeKind);
    Some(match claimed.filter(|claimed| *claimed != Kind::Foreign.name()) {
        Some(claimed) => {
            format!("it says `{claimed}` and touched more than that, so it is foreign")
        }
        None => "the pin was changed by hand".to_owned(),
    })
}

/// What must not be as it is now, however it came.
fn now(history: &History) -> Option<Remark> {
    let head = history.head()?;
    let text = match history.pinned(head) {
        Pinned::Unreadable { reason, .. } => format!("the pin cannot be read: {reason}"),
        Pinned::Missing => "the pin file is gone".to_owned(),
        Pinned::Pin(pin) => {
            let hold = history.holds().ok()?.quarantine_of(pin.image.digest())?;
            format!("a quarantined image is pinned: {}", hold.reason)
        }
        Pinned::Unreleased => return None,
    };
    let about = format!("{} {}", history.environment(), head.commit.short());
    Some(Remark { weight: Weight::Finding, about, text })
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Finding => "finding",
            Weight::Note => "note",
        };
        write!(f, "{weight}: {}: {}", self.about, self.text)
    }
}
