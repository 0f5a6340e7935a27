//! The one primitive: restore the newest Verified, unheld pin. A rollback by hand is the same call.

use jiff::Timestamp;

use super::{File, NewMark, Plan, Target};
use crate::change::{Change, Kind};
use crate::environment::{BASE, COMPONENTS, HOLDS};
use crate::guards::Guard;
use crate::history::History;
use crate::holds::Quarantine;
use crate::object_id::CommitId;
use crate::pin::{Pin, Pinned};
use crate::snapshot::MarkKind;
use crate::trailers::{Key, one_line};
use crate::verdict::Verdict;

/// Why something is undone: what its commit says.
#[derive(Debug, Clone)]
pub enum Cause {
    Report { revision: CommitId, verdict: Verdict, observed_at: Timestamp, evidence: Vec<String> },
    Human { reason: String },
}

/// Which pin a human wants back.
#[derive(Debug, Clone)]
pub enum Selector {
    /// The newest that differs from the present one.
    Newest,
    /// By version of the service, version of the model, image digest, or the Change's commit.
    Version(String),
}

/// Undoes the present pin by hand. It may do so in a frozen environment: freezing is for machines.
pub fn rollback(history: &History, to: &Selector, reason: &str) -> Result<Plan, Guard> {
    history.holds().or(Err(Guard::HoldsUnreadable))?;
    let head = history.head().ok_or(Guard::NothingToRestore)?;
    let present = history.pinned(head);
    if present == Pinned::Unreleased && history.restorable().next().is_none() {
        return Err(Guard::NothingReleased);
    }
    let cause = Cause::Human { reason: one_line(reason) };
    let mut restorable = history.restorable();
    let (good, pin) = match to {
        Selector::Newest => {
            restorable.find(|(_, pin)| present.pin() != Some(pin)).ok_or(Guard::NothingToRestore)?
        }
        Selector::Version(wanted) => restorable
            .find(|(change, pin)| is_named(change, pin, wanted))
            .ok_or(Guard::UnknownVersion)?,
    };
    if present.pin() == Some(&pin) {
        return Err(Guard::NothingToDo);
    }
    Ok(restore(history, head, good, &pin, &cause))
}

fn is_named(change: &Change, pin: &Pin, wanted: &str) -> bool {
    let commit = change.commit.to_string();
    pin.app_version.as_str() == wanted
        || pin.model_version().as_str() == wanted
        || pin.image.digest().to_string() == wanted
        || (wanted.len() >= 7 && commit.starts_with(wanted))
}

/// Puts the pin of `good` back in place of the one at `head`.
pub(crate) fn restore(
    history: &History,
    head: &Change,
    good: &Change,
    pin: &Pin,
    cause: &Cause,
) -> Plan {
    let environment = history.environment();
    let undone = history.origin_of_pin(head);
    let before = history.pinned(head);
    let title = format!("rollback({environment}): {before} -> {pin}");
    let mut plan = Plan::on(history, Target::Main, &title).of_kind(Kind::Rollback);
    plan.trailers =
        plan.trailers.with(Key::RollbackOf, undone.commit).with(Key::Restores, good.commit);
    plan.files.push(File::Restore { path: environment.pin_file(), from: good.commit });
    plan.marks.push(NewMark { kind: MarkKind::RolledBack, change: undone.commit });
    plan.image = Some(pin.image.clone());
    if good.config == head.config {
        plan.identical_to = Some(good.commit);
    }
    let since_good = history.rendered().filter(|change| change.position > good.position);
    if since_good.filter(|change| change.alters_pin).count() == 1 {
        plan.paragraphs.push(format!("This reverts commit {}.", undone.commit));
    } else {
        plan.paragraphs.push(format!(
            "This restores the newest verified pin, that of {}; what came between was not verified \
             or may not run.",
            good.commit
        ));
    }
    let others = history.config_changes_after(good);
    if !others.is_empty() {
        plan.paragraphs.push(named("Configuration changed as well and is kept:", &others));
    }
    plan = quarantine(plan, history, undone, &before, cause);
    with_cause(plan, cause)
}

/// Proposes to bring configuration and pin back to the last verified Change, for a human to judge.
pub(crate) fn proposal(history: &History, failed: &Change, good: &Change, cause: &Cause) -> Plan {
    let environment = history.environment();
    let title = format!("revert({environment}): back to {}", good.commit.short());
    let mut plan = Plan::on(history, Target::Proposal, &title);
    plan.trailers = plan.trailers.with(Key::Restores, good.commit);
    for path in [BASE.to_owned(), COMPONENTS.to_owned(), environment.overlay()] {
        plan.files.push(File::Restore { path, from: good.commit });
    }
    plan.marks.push(NewMark { kind: MarkKind::Proposed, change: failed.commit });
    let since = history.changes().iter().filter(|change| change.position > good.position);
    let since: Vec<_> = since.filter(|change| change.is_rendered()).collect();
    plan.paragraphs.push(named("Since then changed, and any of it may be at fault:", &since));
    plan.paragraphs.push(
        "Base and components are shared: merging this brings them back for every environment."
            .to_owned(),
    );
    with_cause(plan, cause)
}

fn quarantine(
    mut plan: Plan,
    history: &History,
    undone: &Change,
    before: &Pinned,
    cause: &Cause,
) -> Plan {
    let (Cause::Report { verdict, observed_at, .. }, Some(pin)) = (cause, before.pin()) else {
        return plan;
    };
    let Ok(holds) = history.holds() else { return plan };
    if !verdict.condemns_the_image() || holds.quarantine_of(pin.image.digest()).is_some() {
        return plan;
    }
    let holds = holds.clone().with_quarantine(Quarantine {
        digest: pin.image.digest(),
        environment: history.environment().name().to_owned(),
        change: undone.commit,
        reason: verdict.name().to_owned(),
        since: *observed_at,
    });
    plan.paragraphs.push(format!("{} is quarantined.", pin.image));
    plan.files.push(File::Write { path: HOLDS.to_owned(), content: holds.to_yaml() });
    plan
}

fn with_cause(mut plan: Plan, cause: &Cause) -> Plan {
    plan.trailers = match cause {
        Cause::Human { reason } => plan.trailers.with(Key::Reason, reason),
        Cause::Report { revision, verdict, evidence, .. } => {
            plan.paragraphs.push(format!("Reported for {revision}: {verdict}."));
            let trailers = plan
                .trailers
                .with(Key::FailedRevision, revision)
                .with(Key::Verdict, verdict.name());
            evidence.iter().fold(trailers, |trailers, line| trailers.with(Key::Evidence, line))
        }
    };
    plan
}

fn named(intro: &str, changes: &[&Change]) -> String {
    const MOST: usize = 20;
    let mut lines = vec![intro.to_owned()];
    for change in changes.iter().take(MOST) {
        lines.push(format!("- {} {}", change.commit.short(), one_line(&change.title)));
    }
    if changes.len() > MOST {
        lines.push(format!("- and {} more", changes.len() - MOST));
    }
    lines.join("\n")
}
