//! How a command of the loop ends, as one closed list: what a pipeline may branch on. Whatever ends
//! badly says what can be run next.

use gitops::environment::Environment;
use gitops::event::InvalidEvent;
use gitops::guards::Guard;

use crate::mainline::NoAnswer;
use crate::report::{Exit, WithHint};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Failed,
    Misused,
    Refused,
    Paged,
    Findings,
    TryAgain,
}

/// Part of every such command's `--help`. A test compares it with the list.
pub(crate) const HELP: &str = "\
Exit status:
  0   done, or nothing had to be done
  1   something that it needs failed
  2   it was asked for something that does not exist
  3   refused, and nothing was changed
  4   a human has to look at the report
  5   there are findings
  75  nothing was changed; try again";

impl Ending {
    fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Misused => 2,
            Self::Refused => 3,
            Self::Paged => 4,
            Self::Findings => 5,
            // EX_TEMPFAIL.
            Self::TryAgain => 75,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Failed => "something that it needs failed",
            Self::Misused => "it was asked for something that does not exist",
            Self::Refused => "refused, and nothing was changed",
            Self::Paged => "a human has to look at the report",
            Self::Findings => "there are findings",
            Self::TryAgain => "nothing was changed; try again",
        }
    }

    pub(crate) fn of(guard: Guard) -> Self {
        match guard {
            Guard::Contended | Guard::ImageUnchecked => Self::TryAgain,
            _ => Self::Refused,
        }
    }
}

/// Why a command ends other than well.
#[derive(Debug)]
pub(crate) struct Stop {
    ending: Ending,
    error: anyhow::Error,
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        let is_misuse = error.chain().any(<dyn std::error::Error>::is::<InvalidEvent>);
        Self { ending: if is_misuse { Ending::Misused } else { Ending::Failed }, error }
    }
}

impl Stop {
    pub(crate) fn new(
        ending: Ending,
        what: impl Into<anyhow::Error>,
        hint: impl Into<String>,
    ) -> Self {
        let hinted = Err::<(), _>(what.into()).hint(hint);
        Self { ending, error: hinted.expect_err("it was made of an error") }
    }

    /// Of a report, which nobody would send a second time: while the remote is away it waits for another try.
    pub(crate) fn of_a_report(error: anyhow::Error) -> Self {
        if error.chain().any(<dyn std::error::Error>::is::<NoAnswer>) {
            return Self { ending: Ending::TryAgain, error };
        }
        error.into()
    }

    pub(crate) fn guard(ending: Ending, guard: Guard, environment: &Environment) -> Self {
        let what = anyhow::anyhow!("{environment}: {guard}");
        Self::new(ending, what, way_forward(guard, environment))
    }
}

/// The one edge at which an ending becomes an exit status.
pub(crate) fn end<T>(result: Result<T, Stop>) -> anyhow::Result<T> {
    result.map_err(|Stop { ending, error }| {
        error.context(Exit { code: ending.code(), message: ending.sentence().to_owned() })
    })
}

fn way_forward(guard: Guard, environment: &Environment) -> String {
    let command = match guard {
        Guard::NothingToDo
        | Guard::AlreadyVerified
        | Guard::Duplicate
        | Guard::InFlight
        | Guard::NotVerified => "cargo xtask status".to_owned(),
        Guard::NotOnMain
        | Guard::Superseded
        | Guard::RolledBack
        | Guard::NotSmoked
        | Guard::TooManyRollbacks
        | Guard::UnknownVersion => format!("cargo xtask history {environment}"),
        Guard::RevisionUnknown => format!("cargo xtask manifests render {environment}"),
        Guard::HoldsUnreadable => "git log -p -- kustomize/holds.yaml".to_owned(),
        Guard::Frozen | Guard::FailedRollback => {
            format!("cargo xtask rollback {environment} --reason WHY, later unfreeze it")
        }
        Guard::FailedAfterVerified | Guard::NoVerdict => {
            format!("cargo xtask rollback {environment} --reason WHY, if it is the release")
        }
        Guard::NothingToRestore | Guard::Held => "cargo xtask quarantine list".to_owned(),
        Guard::ConfigAtFault | Guard::ConfigAlsoChanged | Guard::NothingReleased => {
            format!("cargo xtask diff {environment}")
        }
        Guard::NotByteIdentical | Guard::TouchesMore => {
            format!("cargo xtask rollback {environment} --reason WHY --dry-run")
        }
        Guard::ImageMissing | Guard::SignatureInvalid => {
            format!("cargo xtask history {environment} shows what else was verified")
        }
        Guard::ImageUnchecked => "docker login REGISTRY, then the same command again".to_owned(),
        Guard::Contended => "the same command again".to_owned(),
    };
    format!("{command} ({})", guard.runbook())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_every_ending_with_its_own_status() {
        use Ending::{Failed, Findings, Misused, Paged, Refused, TryAgain};
        let all = [Failed, Misused, Refused, Paged, Findings, TryAgain];
        let lines = all.map(|ending| format!("  {:<4}{}", ending.code(), ending.sentence()));
        let expected =
            format!("Exit status:\n  0   done, or nothing had to be done\n{}", lines.join("\n"));
        assert_eq!(HELP, expected);
    }

    #[test]
    fn a_failing_program_inside_does_not_decide_the_exit_status() {
        let inside = Exit { code: 128, message: "`git` failed".to_owned() };
        let error = end::<()>(Err(anyhow::Error::from(inside).into())).unwrap_err();
        assert_eq!(error.downcast_ref::<Exit>().unwrap().code, 1);
    }
}
