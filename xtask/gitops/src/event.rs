//! [`Event`]: what was observed of one environment. [`Event::parse`] reads what the notification
//! templates send, and [`Event::to_json`] writes the same for whoever stands in for Argo CD.
//!
//! Events come at least once, in any order, from a network: everything in them is taken as hostile
//! until it is a value here. The environment comes from the Application's label and must exist in the
//! tree; the revision is a full commit id, because for a manifest that cannot be built Argo CD says
//! `main`.

mod wire;

use std::fmt;

use jiff::Timestamp;

use crate::environment::{Environment, Environments, UnknownEnvironment};
use crate::object_id::{CommitId, InvalidObjectId};
use crate::trailers::one_line;
use crate::verdict::Verdict;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub environment: Environment,
    /// What was synced. Only a manifest that cannot be built may come without.
    pub revision: Option<CommitId>,
    pub observed_at: Timestamp,
    pub observation: Observation,
    /// One line each, for humans.
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Observation {
    Deployed(Proof),
    Failed(Verdict),
    /// The newest commit cannot be built, so no sync starts.
    Unrenderable,
    /// Nobody said anything until a deadline; what a probe of the running service said, if anything.
    TimedOut(Verdict),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A sync of this revision ended with a smoke test that passed.
    SmokePassed,
    /// Synced and Healthy without any operation: what a revert to the live state looks like.
    AlreadyLive,
}

/// G1 of the design: the first guard is that an event means something. What is wrong is told in one line, however
/// the event spells it: workflows read commands out of lines of their log.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    #[error("an event of {0} bytes is larger than the {LARGEST} that one can have")]
    TooLarge(usize),
    #[error("not an event: {}", shown(.0))]
    Json(#[from] serde_json::Error),
    #[error("event schema {0} is not the known one, {SCHEMA}")]
    Schema(u64),
    #[error("the event names no environment: label the Application with `env`")]
    NoEnvironment,
    #[error("{}", shown(.0))]
    Environment(#[from] UnknownEnvironment),
    #[error("the event's revision: {}", shown(.0))]
    Revision(#[from] InvalidObjectId),
    #[error("the event's phase `{}` does not fit its type", shown(.0))]
    Phase(String),
    #[error("the event does not say when it was observed: {}", shown(.0))]
    Time(String),
}

fn shown(what: &impl ToString) -> String {
    one_line(&what.to_string())
}

/// Below the 64 KB that a dispatch payload may have.
const LARGEST: usize = 64 * 1024;
const SCHEMA: u64 = 1;
/// Lines of evidence that a commit message can carry without hiding everything else.
const MOST_EVIDENCE: usize = 12;

impl Event {
    pub fn parse(json: &[u8], known: &Environments) -> Result<Self, InvalidEvent> {
        if json.len() > LARGEST {
            return Err(InvalidEvent::TooLarge(json.len()));
        }
        let mut event = serde_json::from_slice::<wire::Envelope>(json)?.event(known)?;
        event.evidence = event.evidence.iter().map(|line| one_line(line)).collect();
        event.evidence.retain(|line| !line.is_empty());
        event.evidence.truncate(MOST_EVIDENCE);
        Ok(event)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(&wire::Envelope::of(self)).expect("strings and numbers serialize")
    }

    /// None for good news.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.observation {
            Observation::Deployed(_) => None,
            Observation::Failed(verdict) | Observation::TimedOut(verdict) => Some(verdict),
            Observation::Unrenderable => Some(Verdict::RolloutFailed),
        }
    }
}

/// One line for people; the evidence is not in it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.revision.map_or("main".to_owned(), CommitId::short);
        write!(f, "{} at {revision}: ", self.environment)?;
        match self.observation {
            Observation::Deployed(Proof::SmokePassed) => f.write_str("deployed, smoke test passed"),
            Observation::Deployed(Proof::AlreadyLive) => f.write_str("deployed, it already ran"),
            Observation::Failed(verdict) => write!(f, "failed: {verdict}"),
            Observation::Unrenderable => f.write_str("cannot be rendered"),
            Observation::TimedOut(verdict) => write!(f, "no verdict in time: {verdict}"),
        }
    }
}
