//! What the demo prints: one line per event with the seconds since it began, and between them the plans
//! in their own words.

use std::fmt::Display;
use std::time::Instant;

use crate::report::data;

#[derive(Debug, Clone, Copy)]
pub(in crate::operate) struct Transcript {
    began: Instant,
}

impl Transcript {
    pub(in crate::operate) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    pub(in crate::operate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(in crate::operate) fn act(&self, title: &str) {
        data(format_args!("\n[{:6.1} s] {title}\n", self.seconds()));
    }

    pub(in crate::operate) fn say(&self, what: impl Display) {
        data(format_args!("[{:6.1} s] {what}", self.seconds()));
    }
}
