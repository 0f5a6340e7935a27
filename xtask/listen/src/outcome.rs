//! [`Outcome`]: what becomes of a report by how its command ended, as `.github/actions/loop` reads it.

use crate::command::{End, Ended};
use crate::report::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, or nothing had to be done.
    Done,
    /// A human has to look at the report of the command.
    Paged,
    /// Nothing was changed, however often it was tried.
    GaveUp,
    /// Any other status: in GitHub a red run.
    Failed,
    TimedOut,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Finish(Outcome),
    TryAgain,
    /// We are ending, and it waits for the next start; or its file is gone.
    Leave,
}

const PAGED: i32 = 4;
/// Of a model that may not ship, for one.
const FINDINGS: i32 = 5;
/// `EX_TEMPFAIL`.
const TRY_AGAIN: i32 = 75;

impl Outcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Done, Self::Paged, Self::GaveUp, Self::Failed, Self::TimedOut];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Paged => "paged",
            Self::GaveUp => "gave-up",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
        }
    }

    /// What a human is told, as Markdown with a title; nothing where all is well. What GitHub shows as a
    /// red run nobody would see here.
    pub(crate) fn page(self, report: &Report, ended: &Ended) -> Option<String> {
        let happened = match self {
            Self::Done => return None,
            Self::Paged => return Some(ended.stdout.clone()),
            Self::GaveUp => "could not be decided, however often it was tried".to_owned(),
            Self::TimedOut => "took too long to handle".to_owned(),
            Self::Failed => match ended.end {
                End::Code(code) => format!("could not be handled (exit status {code})"),
                _ => "could not be handled (ended by a signal)".to_owned(),
            },
        };
        let said = ended.said.join("\n");
        Some(format!(
            "# {}: a report {happened}\n\nNothing more is done about it. Post it again when the cause is gone:\n\
             `xtask {}` with this on its standard input decides by what main says then.\n\n\
             ```json\n{}\n```\n\n```\n{said}\n```\n",
            report.environment,
            report.arguments().join(" "),
            report.body,
        ))
    }
}

impl Next {
    pub(crate) fn of(end: End, tries_left: usize) -> Self {
        match end {
            End::Code(0) => Self::Finish(Outcome::Done),
            End::Code(PAGED | FINDINGS) => Self::Finish(Outcome::Paged),
            // Killed, for want of memory or by hand, it said nothing of the report.
            End::Code(TRY_AGAIN) | End::Killed if tries_left > 0 => Self::TryAgain,
            End::Code(TRY_AGAIN) => Self::Finish(Outcome::GaveUp),
            End::Code(_) | End::Killed => Self::Finish(Outcome::Failed),
            End::TimedOut => Self::Finish(Outcome::TimedOut),
            End::Stopped => Self::Leave,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_the_workflows_read_them_and_a_killed_one_is_no_verdict() {
        use Outcome::{Done, Failed, GaveUp, Paged};
        for (code, next) in
            [(0, Done), (4, Paged), (5, Paged), (1, Failed), (2, Failed), (3, Failed)]
        {
            assert_eq!(Next::of(End::Code(code), 4), Next::Finish(next), "{code}");
        }
        assert_eq!(Next::of(End::Code(75), 1), Next::TryAgain);
        assert_eq!(Next::of(End::Killed, 1), Next::TryAgain);
        assert_eq!(Next::of(End::Killed, 0), Next::Finish(Failed));
        assert_eq!(Next::of(End::Code(75), 0), Next::Finish(GaveUp));
        assert_eq!(Next::of(End::Stopped, 4), Next::Leave);
    }
}
