//! How `xtask` talks: progress and errors on stderr, data on stdout and nowhere else.

use std::fmt::{self, Display};
use std::io::{self, Write as _, stderr, stdout};
use std::process::ExitCode;
use std::sync::OnceLock;

use contract::causes;

/// A line of progress: what is being done, or why it need not be. Worth no failure: whoever closed stderr
/// does not read it.
pub(crate) fn step(what: impl Display) {
    drop(writeln!(stderr(), "{what}"));
}

/// Why a line of data was lost, if one was.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// A line of what the command was asked for. What cannot be written stops nothing half-way, and fails the
/// command at its end; see [`all_told`].
pub(crate) fn data(what: impl Display) {
    match writeln!(stdout(), "{what}") {
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => drop(LOST.set(error)),
        _ => {}
    }
}

/// Whether all data reached its reader.
pub(crate) fn all_told() -> anyhow::Result<()> {
    match LOST.get() {
        Some(error) => anyhow::bail!("what was asked for cannot be written to stdout: {error}"),
        None => Ok(()),
    }
}

/// Prints an error with its causes, then every hint on the way as a way forward.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    step(format_args!("error: {}", causes(error)));
    for hint in error.chain().filter_map(|cause| cause.downcast_ref::<Hint>()) {
        step(format_args!("\nhint: {}", hint.text));
    }
    ExitCode::from(exit_code(error))
}

/// All that went wrong, the outermost first, without the hints.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    causes::sentence(error.chain().filter(|cause| cause.downcast_ref::<Hint>().is_none()))
}

/// That of the program that failed, however many hints were added since.
fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(exit) = error.downcast_ref::<Exit>() {
        return exit.code;
    }
    error.downcast_ref::<Hint>().map_or(1, |hint| exit_code(&hint.source))
}

/// An error that carries what to do next.
#[derive(Debug)]
struct Hint {
    text: String,
    source: anyhow::Error,
}

impl Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Hint {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Ends `xtask` with the exit status of the program that failed inside it.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

pub(crate) trait WithHint<T> {
    /// Adds a way forward: a command to run, or a setting to change.
    fn hint(self, text: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, text: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| Hint { text: text.into(), source: error.into() }.into())
    }
}
