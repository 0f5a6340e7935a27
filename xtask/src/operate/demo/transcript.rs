//! What the demo prints: one line per event with the seconds since it began, and between them the plans
//! in their own words.

use std::fmt::Display;
use std::time::Instant;

use crate::report::data;

#[derive(Debug, Clone, Copy)]
pub(super) struct Transcript {
    began: Instant,
}

impl Transcript {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(super) fn act(&self, title: &str) {
        data(format_args!("\n[{:6.1} s] {title}\n", self.seconds()));
    }

    pub(super) fn say(&self, what: impl Display) {
        data(format_args!("[{:6.1} s] {what}", self.seconds()));
    }
}
