//! [`Page`]: what a human is told when a machine must not go on alone. One Markdown report.

use std::fmt;

use crate::environment::Environment;
use crate::event::Event;
use crate::guards::Guard;
use crate::history::History;
use crate::object_id::CommitId;
use crate::pin::Pinned;
use crate::verdict::Verdict;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub guard: Guard,
    pub environment: Environment,
    /// What was reported, where the report said so.
    pub revision: Option<CommitId>,
    /// The Change that this revision runs.
    pub change: Option<CommitId>,
    pub verdict: Option<Verdict>,
    /// What the environment pins now.
    pub pinned: Pinned,
    pub evidence: Vec<String>,
}

impl Page {
    pub(crate) fn new(guard: Guard, history: &History, event: &Event) -> Self {
        let change = event.revision.and_then(|revision| history.change_at(revision));
        let head = history.head();
        Self {
            guard,
            environment: event.environment.clone(),
            revision: event.revision,
            change: change.map(|change| change.commit),
            verdict: event.verdict(),
            pinned: head.map_or(Pinned::Missing, |head| history.pinned(head)),
            evidence: event.evidence.clone(),
        }
    }

    /// One page per subject: what an issue or an incident is named, so that repeats find it.
    pub fn title(&self) -> String {
        let subject = self.change.or(self.revision).map_or("main".to_owned(), CommitId::short);
        format!("{}: {} ({subject})", self.environment, self.guard)
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}\n", self.title())?;
        writeln!(f, "- environment: {}, pinned: {}", self.environment, self.pinned)?;
        if let Some(revision) = self.revision {
            writeln!(f, "- reported revision: {revision}")?;
        }
        if let Some(change) = self.change {
            writeln!(f, "- change: {change}")?;
        }
        if let Some(verdict) = self.verdict {
            writeln!(f, "- verdict: {verdict}")?;
        }
        writeln!(f, "- what to do: {}", self.guard.runbook())?;
        for line in &self.evidence {
            writeln!(f, "- evidence: {line}")?;
        }
        Ok(())
    }
}
