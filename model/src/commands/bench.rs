//! `bench`: how fast an artifact is on this machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use model::bench;
use model::classifier::{self, Classifier};

use super::print;

/// Measure an artifact on this machine
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Microseconds per image, by batch size
    Forward {
        /// Artifact folder
        #[arg(long, value_name = "DIR")]
        artifact: PathBuf,
        #[arg(long, value_delimiter = ',', default_value = "1,8,32,128", value_name = "N,N,…")]
        batches: Vec<usize>,
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
}

/// Per batch size: long enough for the slowest run out of a hundred to mean something.
const TIME: Duration = Duration::from_secs(1);

const LARGEST_BATCH: usize = 10_000;

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Forward { artifact, batches, threads } = self;
        let fits = |batch: &usize| (1..=LARGEST_BATCH).contains(batch);
        ensure!(batches.iter().all(fits), "a batch holds 1 to {LARGEST_BATCH} images");
        let can = 1..=classifier::MAX_THREADS;
        ensure!(can.contains(&threads), "--threads: not between 1 and {}", classifier::MAX_THREADS);
        classifier::set_threads(threads);
        let classifier = Classifier::open(&artifact)?;
        let shape = classifier.manifest().task.input;
        let timings = bench::forward(shape, &batches, TIME, |i| classifier.classify(i))?;
        print("batch  least µs/image  median µs/image  p99 µs/image")?;
        for bench::Timing { batch, least, median, p99, .. } in timings {
            print(format_args!("{batch:>5}  {least:>14.1}  {median:>15.1}  {p99:>12.1}"))?;
        }
        Ok(())
    }
}
