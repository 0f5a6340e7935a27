//! `drift`: whether what a service was asked, and answered, is still like what its model was tested on.
//!
//! Records in, one [`Report`] out, in memory that does not depend on how many there are. What cannot be read is
//! counted by its reason and never silently left out.

mod distance;
mod observed;
mod pictured;
mod report;
mod tally;

use std::io::{Write as _, stderr};
use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;
use contract::atomic;
use contract::record::log::Log;

use self::distance::Limits;
use self::observed::Reader;
use self::report::Report;
use self::tally::{Every, Tally};
use crate::ending::{Findings, Undecided};
use crate::told::tell;

/// Whether live inputs and predictions are still like those the model was tested on
///
/// Compares the records of a service with the baseline in the artifact of the model that answered. A signal has
/// drifted where chance does not explain its distance (Kolmogorov and Smirnov's test, of classes chi-square; adjusted
/// by Benjamini and Hochberg) and the distance matters (PSI). Exit status 5 where one has, 75 where there are too few images
/// to say anything.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records as `serve --records` writes them, gzip or not; `-` is stdin
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Artifact of the model whose records are compared; `cargo xtask` takes the one trained last
    #[arg(long, value_name = "DIR", env = "MLOPS_MODEL", hide_env = true)]
    model: PathBuf,
    /// Share of signals, among those said to have drifted, that may have been moved by chance
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", value_parser = share)]
    false_discoveries: f64,
    /// Population stability index from which on a distance matters
    #[arg(long, default_value_t = 0.2, value_name = "PSI", value_parser = distance)]
    psi: f64,
    /// Fewer images say nothing
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    least: u64,
    /// Show each of these on its own, too
    #[arg(long, value_enum, default_value_t = Every::Day)]
    every: Every,
    /// What stdout gets
    #[arg(long, value_enum, default_value_t = Form::Markdown)]
    format: Form,
    /// Draw both distributions of every signal here
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Form {
    Markdown,
    Json,
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    number(text).filter(|share| (0.0..=1.0).contains(share)).ok_or("not between 0 and 1".to_owned())
}

fn distance(text: &str) -> Result<f64, String> {
    number(text).filter(|psi| *psi >= 0.0).ok_or("not a number from 0 on".to_owned())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let artifact = Artifact::open(&self.model)?;
        let manifest = artifact.manifest();
        let mut tally = Tally::new(&manifest.baseline, self.every);
        let reader = Reader::new(manifest, jiff::Timestamp::now());
        for path in &self.logs {
            // Whoever closed stderr does not read it.
            drop(writeln!(stderr(), "reading {}", path.display()));
            let mut log = Log::open(path)?;
            while let Some(line) = log.next_line()? {
                tally.count(&line.and_then(|line| reader.read(line)));
            }
        }
        let limits =
            Limits { false_discoveries: self.false_discoveries, psi: self.psi, least: self.least };
        let report = Report::of(&tally, manifest, limits);
        if let Some(path) = &self.svg {
            let picture = pictured::distributions(&tally, &report, manifest);
            atomic::write_file(path, picture.as_bytes())
                .with_context(|| format!("writing {}", path.display()))?;
        }
        let told = match self.format {
            Form::Markdown => report.to_string(),
            Form::Json => serde_json::to_string_pretty(&report)?,
        };
        tell(told)?;
        if let Some(told) = report.undecided() {
            return Err(Undecided(told).into());
        }
        let drifted = report.drifted();
        if drifted.is_empty() {
            Ok(())
        } else {
            Err(Findings(drifted.join(", ") + " drifted").into())
        }
    }
}
