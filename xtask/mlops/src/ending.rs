//! How a command ends: with `xtask`'s own exit statuses, which it passes on.

use std::process::ExitCode;

/// There is what was looked for; the command itself did not fail.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Findings(pub(crate) String);

/// Nothing failed, and nothing can be said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Undecided(pub(crate) String);

const FAILED: u8 = 1;
const FINDINGS: u8 = 5;
/// As `mnist-api smoke` has it: `EX_TEMPFAIL` of sysexits.h.
const UNDECIDED: u8 = 75;

pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Findings>() {
        FINDINGS
    } else if error.is::<Undecided>() {
        UNDECIDED
    } else {
        FAILED
    })
}
