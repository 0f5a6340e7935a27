//! How long an inference takes, by batch size. The manifest's figures and `model bench` are this.

use std::time::{Duration, Instant};

use contract::image::{Image, Shape};
use contract::manifest::Latency;
use contract::prediction::Scores;

use crate::random::Random;

/// Of one batch size, in microseconds per image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    pub batch: usize,
    pub runs: usize,
    /// What other programs on the machine disturb least.
    pub least: f64,
    pub median: f64,
    pub p99: f64,
}

impl From<Timing> for Latency {
    fn from(timing: Timing) -> Self {
        Self { batch: timing.batch, microseconds_per_image: timing.median }
    }
}

/// Batch sizes of the manifest.
pub const BATCHES: [usize; 3] = [1, 8, 32];

const RUNS: usize = 30;

/// Runs each batch size for at least `time`, after as many runs that do not count as it takes to warm up.
pub fn forward<E>(
    shape: Shape,
    batches: &[usize],
    time: Duration,
    mut classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, E>,
) -> Result<Vec<Timing>, E> {
    let mut timings = Vec::new();
    for &batch in batches {
        let images = noise(shape, batch);
        for _ in 0..RUNS / 3 {
            classify(&images)?;
        }
        let mut runs = Vec::new();
        let start = Instant::now();
        while runs.len() < RUNS || start.elapsed() < time {
            let run = Instant::now();
            classify(&images)?;
            runs.push(run.elapsed());
        }
        runs.sort_unstable();
        let per_image = |run: Duration| run.as_secs_f64() * 1e6 / batch.max(1) as f64;
        timings.push(Timing {
            batch,
            runs: runs.len(),
            least: per_image(runs[0]),
            median: per_image(runs[runs.len() / 2]),
            p99: per_image(runs[runs.len() * 99 / 100]),
        });
    }
    Ok(timings)
}

/// The time of an inference does not depend on what the picture shows.
fn noise(shape: Shape, count: usize) -> Vec<Image> {
    let mut random = Random::new([0, 0, 0, 0]);
    let mut byte = || u8::try_from(random.below(256)).expect("below 256");
    (0..count)
        .map(|_| {
            let pixels: Vec<u8> = (0..shape.len()).map(|_| byte()).collect();
            Image::new(shape, pixels).expect("as many pixels as the shape says")
        })
        .collect()
}
