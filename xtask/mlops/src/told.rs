//! stdout is data: what was asked for, and nothing else.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _, stdout};

use anyhow::Context;

/// Lines of it. Whoever closed the pipe has read enough, and what there is to do is done all the same.
pub(crate) fn tell(what: impl Display) -> anyhow::Result<()> {
    match writeln!(stdout(), "{what}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        told => told.context("what was asked for cannot be written to stdout"),
    }
}
