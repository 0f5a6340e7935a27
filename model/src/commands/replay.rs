//! `replay`: where two models disagree on what a service was asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use contract::atomic;
use model::classifier::{self, Classifier};
use model::{plots, replay, shown};

use super::print;

/// Answer the sampled pictures of a service's records by two models and print where they disagree, as JSON
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Artifact folder
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// Artifact folder
    #[arg(long, value_name = "DIR")]
    champion: PathBuf,
    /// Records as `serve --records --records-pixels` writes them, gzip or not
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Pictures that people labelled, in a folder per class: an answer that becomes what they said is no flip
    #[arg(long, value_name = "DIR")]
    labelled: Option<PathBuf>,
    /// An SVG with the pictures that they disagree on
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        // More would wait for each other longer than they compute.
        classifier::set_threads(1);
        let candidate = Classifier::open(&self.candidate).context("the candidate")?;
        let champion = Classifier::open(&self.champion).context("the champion")?;
        let labelled = match &self.labelled {
            Some(folder) => shown::labels(folder, &candidate.manifest().task)?,
            None => BTreeMap::new(),
        };
        let (replay, drawn) = replay::replay(&candidate, &champion, &self.logs, &labelled)?;
        if let Some(sheet) = self.sheet {
            let names = &candidate.manifest().task.classes;
            let picture = plots::flips(names, &drawn, replay.flips.len());
            atomic::write_file(&sheet, picture.as_bytes())?;
        }
        print(serde_json::to_string(&replay).context("writing the answers as JSON")?)
    }
}
