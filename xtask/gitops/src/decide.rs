//! [`decide`]: from what happened and what was reported to what is to be done. Pure: the same history
//! and the same event give the same [`Action`], and time is what the event says.
//!
//! For a failure, between the last Verified Change and main's newest commit:
//!
//! | state at the newest commit           | action                                                     |
//! |--------------------------------------|------------------------------------------------------------|
//! | pin is not that of the failed commit | nothing: superseded                                        |
//! | pin is the last Verified one         | configuration is at fault: pull request and page           |
//! | only the pin changed                 | restore, byte-identical                                    |
//! | both changed                         | 42/43: restore the pin, name the rest; else pull request   |

use std::fmt;

use jiff::SignedDuration;

use crate::change::{Change, Kind};
use crate::event::{Event, Observation, Proof};
use crate::guards::Guard;
use crate::history::History;
use crate::page::Page;
use crate::pin::{Pin, Pinned};
use crate::plan::{self, Cause, Plan};
use crate::verdict::Verdict;

/// So many rollbacks within [`BREAKER_WINDOW`] are enough; the next failure freezes.
const BREAKER_ROLLBACKS: usize = 2;
const BREAKER_WINDOW: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    MarkVerified(Plan),
    Restore(Plan),
    OpenPullRequest(Plan, Page),
    Freeze(Plan, Page),
    Page(Page),
    Nothing(Guard),
}

impl Action {
    pub fn guard(&self) -> Option<Guard> {
        match self {
            Self::MarkVerified(_) | Self::Restore(_) => None,
            Self::OpenPullRequest(_, page) | Self::Freeze(_, page) | Self::Page(page) => {
                Some(page.guard)
            }
            Self::Nothing(guard) => Some(*guard),
        }
    }

    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Self::MarkVerified(plan)
            | Self::Restore(plan)
            | Self::OpenPullRequest(plan, _)
            | Self::Freeze(plan, _) => Some(plan),
            Self::Page(_) | Self::Nothing(_) => None,
        }
    }

    pub fn page(&self) -> Option<&Page> {
        match self {
            Self::OpenPullRequest(_, page) | Self::Freeze(_, page) | Self::Page(page) => Some(page),
            Self::MarkVerified(_) | Self::Restore(_) | Self::Nothing(_) => None,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::MarkVerified(_) => "mark-verified",
            Self::Restore(_) => "restore",
            Self::OpenPullRequest(..) => "open-pull-request",
            Self::Freeze(..) => "freeze",
            Self::Page(_) => "page",
            Self::Nothing(_) => "nothing",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarkVerified(plan) | Self::Restore(plan) => plan.fmt(f),
            Self::OpenPullRequest(plan, page) | Self::Freeze(plan, page) => {
                write!(f, "{plan}\n{page}")
            }
            Self::Page(page) => page.fmt(f),
            Self::Nothing(guard) => write!(f, "nothing to do: {guard}"),
        }
    }
}

pub fn decide(history: &History, event: &Event) -> Action {
    Judge { history, event, disease: None }.decide()
}

/// What keeps the loop from harm. A test may switch one off and must then see the harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    Guard(Guard),
    /// Only a Verified pin is restored.
    RestoreVerified,
    /// Only a pin that is not held is restored.
    RestoreUnheld,
}

#[cfg(any(test, feature = "simulation"))]
pub fn decide_without(cure: Cure, history: &History, event: &Event) -> Action {
    Judge { history, event, disease: Some(cure) }.decide()
}

struct Judge<'a> {
    history: &'a History,
    event: &'a Event,
    disease: Option<Cure>,
}

impl Judge<'_> {
    fn cured(&self, cure: Cure) -> bool {
        self.disease != Some(cure)
    }

    /// Whether a guard stops the action: its condition holds and nobody switched it off.
    fn stops(&self, guard: Guard, condition: impl FnOnce() -> bool) -> bool {
        self.cured(Cure::Guard(guard)) && condition()
    }

    fn page(&self, guard: Guard) -> Page {
        Page::new(guard, self.history, self.event)
    }

    fn decide(&self) -> Action {
        let Some(revision) = self.event.revision else {
            return Action::Page(self.page(Guard::RevisionUnknown));
        };
        let Some(change) = self.history.change_at(revision) else {
            return Action::Page(self.page(Guard::NotOnMain));
        };
        match self.event.observation {
            Observation::Deployed(proof) => self.deployed(change, proof),
            // Whoever waited for a verdict did not see that it had come.
            Observation::TimedOut(verdict)
                if !verdict.is_ground_to_act() && self.history.is_verified(change) =>
            {
                Action::Nothing(Guard::AlreadyVerified)
            }
            Observation::Failed(verdict) | Observation::TimedOut(verdict) => {
                self.failed(change, verdict)
            }
            Observation::Unrenderable => self.failed(change, Verdict::RolloutFailed),
        }
    }

    fn deployed(&self, change: &Change, proof: Proof) -> Action {
        let history = self.history;
        if self.stops(Guard::AlreadyVerified, || history.is_verified(change)) {
            return Action::Nothing(Guard::AlreadyVerified);
        }
        if self.stops(Guard::RolledBack, || history.is_rolled_back(change)) {
            return Action::Nothing(Guard::RolledBack);
        }
        // Without a smoke test of its own, a rollback is as good as the state it brought back.
        let as_good_as_smoked = || {
            change.kind == Kind::Rollback
                && history
                    .rendered()
                    .any(|good| history.is_verified(good) && history.same_state(good, change))
        };
        let not_smoked = || proof == Proof::AlreadyLive && !as_good_as_smoked();
        if self.stops(Guard::NotSmoked, not_smoked) {
            return Action::Nothing(Guard::NotSmoked);
        }
        Action::MarkVerified(plan::mark_verified(history, change.commit))
    }

    fn failed(&self, change: &Change, verdict: Verdict) -> Action {
        let history = self.history;
        let Some(head) = history.head() else {
            return Action::Page(self.page(Guard::NotOnMain));
        };
        let undone = history.origin_of_pin(change);
        let dealt_with =
            || [change, undone].into_iter().any(|change| history.is_rolled_back(change));
        if self.stops(Guard::Duplicate, dealt_with) {
            return Action::Nothing(Guard::Duplicate);
        }
        if self.stops(Guard::Superseded, || self.is_superseded(change, head)) {
            return Action::Nothing(Guard::Superseded);
        }
        if self.stops(Guard::NothingReleased, || self.waits_for_a_first_release(change)) {
            return Action::Nothing(Guard::NothingReleased);
        }
        if self.stops(Guard::HoldsUnreadable, || history.holds().is_err()) {
            return Action::Page(self.page(Guard::HoldsUnreadable));
        }
        if self.stops(Guard::Frozen, || history.is_frozen()) {
            return Action::Page(self.page(Guard::Frozen));
        }
        if self.stops(Guard::FailedAfterVerified, || history.is_verified(change)) {
            return Action::Page(self.page(Guard::FailedAfterVerified));
        }
        if self.stops(Guard::FailedRollback, || change.kind == Kind::Rollback) {
            return self.freeze(Guard::FailedRollback);
        }
        if self.stops(Guard::NoVerdict, || !verdict.is_ground_to_act()) {
            return Action::Page(self.page(Guard::NoVerdict));
        }
        self.restore_or_propose(change, head, verdict)
    }

    /// Another pin took over, or the same pin was verified since, or the newest commit is back at what
    /// was verified.
    fn is_superseded(&self, change: &Change, head: &Change) -> bool {
        let history = self.history;
        let verified = history.last_verified();
        history.is_repinned_after(change)
            || verified.is_some_and(|good| {
                good.position > change.position
                    || (head.position > change.position && history.same_state(good, head))
            })
    }

    /// The image of an environment that has never released exists nowhere, so its pods cannot start. What
    /// cannot even be built has another cause.
    fn waits_for_a_first_release(&self, change: &Change) -> bool {
        let history = self.history;
        self.event.observation != Observation::Unrenderable
            && history.pinned(change) == Pinned::Unreleased
            && history.pins(|change| history.is_verified(change)).next().is_none()
    }

    fn restore_or_propose(&self, change: &Change, head: &Change, verdict: Verdict) -> Action {
        let history = self.history;
        let Some(event_revision) = self.event.revision else {
            return Action::Page(self.page(Guard::RevisionUnknown));
        };
        let cause = Cause::Report {
            revision: event_revision,
            verdict,
            observed_at: self.event.observed_at,
            evidence: self.event.evidence.clone(),
        };
        // Proposed once, told as often as reported: whoever proposed may have died before telling.
        let propose = |guard, good| {
            if history.is_proposed(change) {
                return Action::Page(self.page(guard));
            }
            let plan = plan::proposal(history, change, good, &cause);
            Action::OpenPullRequest(plan, self.page(guard))
        };
        let last = history.last_verified();
        if let Some(last) = last.filter(|last| history.same_pin(last, head)) {
            return propose(Guard::ConfigAtFault, last);
        }
        let Some((good, pin)) = self.ground_to_stand_on(head, verdict) else {
            return Action::Page(self.page(Guard::NothingToRestore));
        };
        let alone = good.config == head.config;
        if history.same_pin(good, head) {
            // The pin was verified once, but not as the last one.
            let guard = if alone { Guard::FailedAfterVerified } else { Guard::ConfigAtFault };
            return if alone { Action::Page(self.page(guard)) } else { propose(guard, good) };
        }
        let ambiguous = || !alone && !verdict.condemns_the_image();
        if self.stops(Guard::ConfigAlsoChanged, ambiguous) {
            return propose(Guard::ConfigAlsoChanged, good);
        }
        let rollbacks = history.rollbacks_since(self.event.observed_at, BREAKER_WINDOW);
        if self.stops(Guard::TooManyRollbacks, || rollbacks >= BREAKER_ROLLBACKS) {
            return self.freeze(Guard::TooManyRollbacks);
        }
        Action::Restore(plan::restore(history, head, good, &pin, &cause))
    }

    /// A pin that is about to be quarantined is no ground either.
    fn ground_to_stand_on(&self, head: &Change, verdict: Verdict) -> Option<(&Change, Pin)> {
        let history = self.history;
        let condemned = history.pinned(head).pin().map(|pin| pin.image.digest());
        let condemned = condemned.filter(|_| verdict.condemns_the_image());
        let any = !self.cured(Cure::RestoreVerified);
        let mut pins = history.pins(|change| any || history.is_verified(change));
        pins.find(|(_, pin)| {
            let digest = pin.image.digest();
            let is_held = history.is_held(digest) && self.cured(Cure::RestoreUnheld);
            !is_held && Some(digest) != condemned
        })
    }

    fn freeze(&self, guard: Guard) -> Action {
        let page = self.page(guard);
        match plan::freeze(self.history, &guard.to_string(), self.event.observed_at) {
            Ok(plan) => Action::Freeze(plan, page),
            // Frozen already, or held by a file that nobody can read.
            Err(_) => Action::Page(page),
        }
    }
}
