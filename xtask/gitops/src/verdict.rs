//! [`Verdict`]: what a failure says about the release. Only the first three are grounds to act; a
//! registry outage looks like a crash loop, so only the first two say that the image is bad.

use std::fmt;

/// Exit codes of the smoke test. They reach us through the message that a Job's `podFailurePolicy`
/// writes.
const APP_WRONG: i64 = 42;
const MODEL_WRONG: i64 = 43;
const UNDECIDED: i64 = 75;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    AppWrong,
    ModelWrong,
    RolloutFailed,
    Undecided,
    Unknown,
}

impl Verdict {
    pub const ALL: [Self; 5] =
        [Self::AppWrong, Self::ModelWrong, Self::RolloutFailed, Self::Undecided, Self::Unknown];

    /// How it is spelled in trailers.
    pub fn name(self) -> &'static str {
        match self {
            Self::AppWrong => "app-wrong",
            Self::ModelWrong => "model-wrong",
            Self::RolloutFailed => "rollout-failed",
            Self::Undecided => "undecided",
            Self::Unknown => "unknown",
        }
    }

    /// Its heading in `docs/runbooks.md`.
    pub fn runbook(self) -> String {
        format!("docs/runbooks.md#verdict-{}", self.name())
    }

    pub fn of_exit_code(code: i64) -> Self {
        match code {
            APP_WRONG => Self::AppWrong,
            MODEL_WRONG => Self::ModelWrong,
            UNDECIDED => Self::Undecided,
            _ => Self::Unknown,
        }
    }

    /// From the resources that a sync reports as failed.
    pub fn of_resources<'a>(failed: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut verdicts: Vec<_> =
            failed.into_iter().map(|(kind, message)| Self::of_resource(kind, message)).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        match verdicts.as_slice() {
            // Two exit codes of one smoke test contradict each other.
            [Self::AppWrong, Self::ModelWrong, ..] | [] => Self::Unknown,
            [worst, ..] => *worst,
        }
    }

    fn of_resource(kind: &str, message: &str) -> Self {
        match kind {
            "Job" => fail_job_exit_code(message).map_or(Self::Undecided, Self::of_exit_code),
            // An autoscaler without metrics fails a sync, and that says nothing about the release.
            "HorizontalPodAutoscaler" => Self::Unknown,
            _ => Self::RolloutFailed,
        }
    }

    pub fn is_ground_to_act(self) -> bool {
        matches!(self, Self::AppWrong | Self::ModelWrong | Self::RolloutFailed)
    }

    /// Whether the image itself was tried and found wrong.
    pub fn condemns_the_image(self) -> bool {
        matches!(self, Self::AppWrong | Self::ModelWrong)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppWrong => "the service answers wrongly (smoke test, exit code 42)",
            Self::ModelWrong => {
                "the service is healthy but the model is wrong (smoke test, exit code 43)"
            }
            Self::RolloutFailed => "the rollout never became healthy, so no smoke test ran",
            Self::Undecided => {
                "the smoke test could not decide (exit code 75, or it did not finish)"
            }
            Self::Unknown => "nothing reported says what is wrong",
        })
    }
}

/// `Container smoke for pod production/smoke-smp96 failed with exit code 42 matching FailJob rule at
/// index 0`, as the Job controller writes it.
fn fail_job_exit_code(message: &str) -> Option<i64> {
    let (_, rest) = message.split_once(" failed with exit code ")?;
    let (code, rule) = rest.split_once(' ')?;
    rule.starts_with("matching FailJob rule").then(|| code.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIL_JOB: &str = "Container smoke for pod production/smoke-smp96 failed with exit code";

    fn check(failed: &[(&str, &str)], expected: Verdict) {
        assert_eq!(Verdict::of_resources(failed.iter().copied()), expected, "{failed:?}");
    }

    #[test]
    fn the_exit_code_of_the_smoke_test_is_the_verdict() {
        let message = |code| format!("{FAIL_JOB} {code} matching FailJob rule at index 0");
        check(&[("Job", &message(42))], Verdict::AppWrong);
        check(&[("Job", &message(43))], Verdict::ModelWrong);
        check(&[("Job", &message(42)), ("Deployment", "x")], Verdict::AppWrong);
        check(&[("Job", &message(42)), ("Job", &message(43))], Verdict::Unknown);
        check(&[("Job", &message(1))], Verdict::Unknown);
    }

    #[test]
    fn a_job_that_only_ran_out_of_tries_has_not_decided() {
        check(&[("Job", "Job has reached the specified backoff limit")], Verdict::Undecided);
        check(&[("Job", "Job was active longer than specified deadline")], Verdict::Undecided);
        check(&[("Job", &format!("{FAIL_JOB} 42"))], Verdict::Undecided);
    }

    #[test]
    fn anything_else_that_failed_is_the_rollout_but_an_autoscaler_is_nothing() {
        let deployment = ("Deployment", "Deployment \"api\" exceeded its progress deadline");
        check(&[deployment], Verdict::RolloutFailed);
        check(&[deployment, ("HorizontalPodAutoscaler", "no metrics")], Verdict::RolloutFailed);
        check(&[("HorizontalPodAutoscaler", "no metrics")], Verdict::Unknown);
        check(&[], Verdict::Unknown);
    }
}
