//! [`Report`]: what smoke found, for pipelines on stdout and for people on stderr.

use serde::Serialize;

use super::client::Identity;
use crate::cli::Exit;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    AppWrong,
    ModelWrong,
    Undecided,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub url: String,
    pub verdict: Verdict,
    pub probes: usize,
    /// Share of probes classified rightly; none where not all were asked.
    pub accuracy: Option<f64>,
    pub threshold: f64,
    pub wrong: Vec<Wrong>,
    /// Length of the last row of good answers.
    pub consecutive: usize,
    pub attempts: usize,
    pub answered_by: Option<Identity>,
    /// What went wrong last.
    pub fault: Option<String>,
    pub seconds: f64,
}

/// A probe that was classified as something else.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    pub probe: usize,
    pub expected: String,
    pub found: String,
}

impl Verdict {
    pub fn exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Ok,
            Self::AppWrong => Exit::AppWrong,
            Self::ModelWrong => Exit::ModelWrong,
            Self::Undecided => Exit::Undecided,
        }
    }
}

impl Report {
    #[expect(clippy::print_stderr, reason = "sentences for whoever started the program")]
    pub(super) fn tell(&self) {
        let Self { url, probes, wrong, consecutive, threshold, .. } = self;
        let right = probes - wrong.len();
        let fault = self.fault.as_deref().unwrap_or("the deadline passed");
        match self.verdict {
            Verdict::Ok => {
                eprintln!(
                    "{url} is fit: {right} of {probes} probes right, {consecutive} answers in a row"
                );
            }
            Verdict::ModelWrong => eprintln!(
                "error: the model at {url} is wrong: {right} of {probes} probes right, {:.1} % are demanded",
                100.0 * threshold
            ),
            Verdict::AppWrong => eprintln!("error: the service at {url} is wrong: {fault}"),
            Verdict::Undecided => eprintln!("error: nothing can be said of {url}: {fault}"),
        }
    }
}
