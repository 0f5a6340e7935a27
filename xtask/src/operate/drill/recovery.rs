//! [`Recovery`]: what a drill found, with the seconds since the loss.

use std::fmt;
use std::time::Instant;

use super::Scene;
use crate::operate::rehearsal::transcript::Transcript;

pub(super) struct Recovery {
    transcript: Transcript,
    lost: String,
    since: Instant,
    /// What was reached, after so many seconds.
    reached: Vec<(String, f64)>,
    /// What did not come back.
    gone: String,
}

impl Recovery {
    /// The clock starts.
    pub(super) fn begin(scene: &Scene<'_>, lost: &str) -> Self {
        scene.transcript.act(&format!("Lost: {lost}"));
        let (transcript, lost) = (scene.transcript, lost.to_owned());
        Self { transcript, lost, since: Instant::now(), reached: Vec::new(), gone: String::new() }
    }

    pub(super) fn reached(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.transcript.say(&what);
        self.reached.push((what, self.since.elapsed().as_secs_f64()));
    }

    pub(super) fn end(self, gone: impl Into<String>) -> Self {
        Self { gone: gone.into(), ..self }
    }
}

/// A table in Markdown.
impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| lost: {} | s |\n|---|---|", self.lost)?;
        for (what, seconds) in &self.reached {
            writeln!(f, "| {what} | {seconds:.1} |")?;
        }
        write!(f, "| gone for good: {} | |", self.gone)
    }
}
