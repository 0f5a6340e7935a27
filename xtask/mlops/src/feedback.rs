//! `feedback`: what callers said that pictures really were, as pictures to train on.
//!
//! A log says what was labelled, records have the pixels; only both together give a labelled picture. Whoever can ask
//! can also label, so no label is believed by itself: what is contradicted, what one caller has too many of and what a
//! class has too many of stays out. Nothing is left out silently.

mod chosen;
mod joined;
mod labels;
mod left;
mod report;

use std::io::{Write as _, stderr};
use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;

use self::chosen::{Chosen, Limits};
use self::joined::Joined;
use self::labels::Labels;
use self::left::Left;
use self::report::Report;
use crate::told::tell;

/// Turn what callers said that pictures really were into pictures to train on
///
/// The service's log has the labels (`POST /v1/feedback`), its records have the pixels of those pictures that were
/// sampled (`--records-pixels`). Pictures go into a folder per class and stay there: look at them before anything is
/// trained on them, and remove what is wrong. A picture that is there already is not written again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records as `serve --records` writes them, gzip or not
    #[arg(long, required = true, num_args = 1.., value_name = "LOG")]
    records: Vec<PathBuf>,
    /// Logs as the service writes them to stdout, gzip or not; oldest first
    #[arg(long, required = true, num_args = 1.., value_name = "LOG")]
    feedback: Vec<PathBuf>,
    /// Folder of labelled pictures, which grows
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Artifact of a model of the same task; `cargo xtask` takes the one trained last
    #[arg(long, value_name = "DIR", env = "MLOPS_MODEL", hide_env = true)]
    model: PathBuf,
    /// Most pictures that one caller may label, as far as the log knows callers apart: in each process of the service.
    /// All that it does not know count as one
    #[arg(long, default_value_t = 100, value_name = "N")]
    per_client: usize,
    /// Most pictures of a class, as a share of what the model was trained on of each class on average
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", value_parser = crate::drift::share)]
    share: f64,
    /// What stdout gets
    #[arg(long, value_enum, default_value_t = crate::drift::Form::Markdown)]
    format: crate::drift::Form,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let artifact = Artifact::open(&self.model)?;
        let manifest = artifact.manifest();
        let (task, data) = (&manifest.task, &manifest.data);
        let mut left = Left::default();
        let labels = Labels::read(&self.feedback, task.classes.len(), &mut left)?;
        let joined = Joined::read(&self.records, labels, task.input, &mut left)?;
        let trained = (data.train - data.added) as f64 / task.classes.len() as f64;
        let limits = Limits { per_client: self.per_client, per_class: whole(self.share * trained) };
        let chosen = Chosen::of(joined, task, &self.out, limits, &mut left)?;
        let written = chosen.write(&self.out, task);
        written.with_context(|| format!("writing pictures into `{}`", self.out.display()))?;
        let report = Report::of(&chosen, task, limits, &left);
        let told = match self.format {
            crate::drift::Form::Markdown => report.to_string(),
            crate::drift::Form::Json => serde_json::to_string_pretty(&report)?,
        };
        tell(told)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is between 0 and the count"
)]
fn whole(count: f64) -> usize {
    count as usize
}

/// Whoever closed stderr does not read it.
fn reading(path: &std::path::Path) {
    drop(writeln!(stderr(), "reading {}", path.display()));
}
