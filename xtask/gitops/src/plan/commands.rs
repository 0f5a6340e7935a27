//! Plans that a human or a pipeline asks for.

use contract::digest::Digest;
use jiff::Timestamp;

use super::{File, Plan, Target};
use crate::change::Kind;
use crate::environment::HOLDS;
use crate::guards::Guard;
use crate::history::History;
use crate::holds::{Freeze, Holds};
use crate::pin::{Pin, Pinned};
use crate::trailers::{Key, one_line};

/// Puts a pin in place. A failed release may be overtaken: fix-forward needs nobody's leave.
pub fn release(history: &History, pin: &Pin) -> Result<Plan, Guard> {
    free_to_move(history, pin)?;
    Ok(pinning(history, pin, "release").of_kind(Kind::Release))
}

/// Takes over what another environment runs, verified there. One change at a time is in flight.
pub fn promote(from: &History, to: &History) -> Result<Plan, Guard> {
    let source = from.head().ok_or(Guard::NothingReleased)?;
    let Pinned::Pin(pin) = from.pinned(source) else { return Err(Guard::NothingReleased) };
    if !from.is_verified(source) {
        return Err(Guard::NotVerified);
    }
    free_to_move(to, &pin)?;
    let waits = |head| to.pinned(head) != Pinned::Unreleased && !to.is_verified(head);
    if to.head().is_some_and(waits) {
        return Err(Guard::InFlight);
    }
    let mut plan = pinning(to, &pin, "promote").of_kind(Kind::Promotion);
    let verified_in = format!("{}@{}", from.environment(), source.commit);
    plan.trailers = plan.trailers.with(Key::VerifiedIn, verified_in);
    Ok(plan)
}

pub fn freeze(history: &History, reason: &str, now: Timestamp) -> Result<Plan, Guard> {
    let holds = holds(history)?;
    if holds.freeze_of(history.environment()).is_some() {
        return Err(Guard::NothingToDo);
    }
    let environment = history.environment();
    let hold =
        Freeze { environment: environment.name().to_owned(), reason: one_line(reason), since: now };
    let title = format!("freeze({environment}): {reason}");
    Ok(holding(history, &title, reason, &holds.with_freeze(hold)))
}

pub fn unfreeze(history: &History, reason: &str) -> Result<Plan, Guard> {
    let holds = holds(history)?;
    let environment = history.environment();
    if holds.freeze_of(environment).is_none() {
        return Err(Guard::NothingToDo);
    }
    let title = format!("unfreeze({environment}): {reason}");
    Ok(holding(history, &title, reason, &holds.without_freeze(environment)))
}

/// Lets a quarantined image run again, in every environment.
pub fn lift(history: &History, digest: Digest, reason: &str) -> Result<Plan, Guard> {
    let holds = holds(history)?;
    if holds.quarantine_of(digest).is_none() {
        return Err(Guard::NothingToDo);
    }
    let title = format!("lift quarantine of {}", &digest.to_string()[..19]);
    Ok(holding(history, &title, reason, &holds.without_quarantine(digest)))
}

/// Whether a machine may put any pin in place: known before there is one.
pub fn demand_movable(history: &History) -> Result<(), Guard> {
    let holds = history.holds().or(Err(Guard::HoldsUnreadable))?;
    match holds.freeze_of(history.environment()) {
        Some(_) => Err(Guard::Frozen),
        None => Ok(()),
    }
}

fn free_to_move(history: &History, pin: &Pin) -> Result<(), Guard> {
    demand_movable(history)?;
    let holds = history.holds().or(Err(Guard::HoldsUnreadable))?;
    if holds.quarantine_of(pin.image.digest()).is_some() {
        return Err(Guard::Held);
    }
    let current = history.head().map(|head| history.pinned(head));
    match current {
        // Another tag alone would restart every pod for nothing.
        Some(Pinned::Pin(current)) if current.runs_the_same(pin) => Err(Guard::NothingToDo),
        _ => Ok(()),
    }
}

fn pinning(history: &History, pin: &Pin, verb: &str) -> Plan {
    let environment = history.environment();
    let before = history.head().map_or(Pinned::Missing, |head| history.pinned(head));
    let title = format!("{verb}({environment}): {before} -> {pin}");
    let mut plan = Plan::on(history, Target::Main, &title);
    plan.files.push(File::Write { path: environment.pin_file(), content: pin.to_yaml() });
    plan.image = Some(pin.image.clone());
    plan
}

fn holds(history: &History) -> Result<Holds, Guard> {
    history.holds().cloned().or(Err(Guard::HoldsUnreadable))
}

fn holding(history: &History, title: &str, reason: &str, holds: &Holds) -> Plan {
    let mut plan = Plan::on(history, Target::Main, title).of_kind(Kind::Hold);
    plan.trailers = plan.trailers.with(Key::Reason, reason);
    plan.files.push(File::Write { path: HOLDS.to_owned(), content: holds.to_yaml() });
    plan
}
