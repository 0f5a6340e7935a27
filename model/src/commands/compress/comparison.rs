//! A compressed model beside its parent, both measured here and now, in turns, on one thread.

use std::path::Path;
use std::time::Duration;

use contract::artifact::Artifact;
use contract::manifest::Manifest;
use contract::mcnemar::Comparison;
use model::bench::{self, BATCHES};
use model::classifier::{self, Classifier};

/// In one turn alone another program may have had the core.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(100);

struct Measured {
    manifest: Manifest,
    /// Of `model.pt` and of the weights, in bytes.
    sizes: [u64; 2],
    classifier: Classifier,
    /// Least microseconds per image, by batch.
    times: [f64; BATCHES.len()],
}

impl Measured {
    fn open(artifact: &Artifact) -> anyhow::Result<Self> {
        let size = |path: &Path| Ok::<_, std::io::Error>(fs_err::metadata(path)?.len());
        Ok(Self {
            manifest: artifact.manifest().clone(),
            sizes: [size(&artifact.model())?, size(&artifact.weights())?],
            classifier: Classifier::open(artifact.path())?,
            times: [f64::INFINITY; BATCHES.len()],
        })
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let shape = self.manifest.task.input;
        let timings = bench::forward(shape, &BATCHES, TURN, |i| self.classifier.classify(i))?;
        for (time, timing) in self.times.iter_mut().zip(timings) {
            *time = time.min(timing.least);
        }
        Ok(())
    }

    fn row(&self, told: &str) -> String {
        let Self { manifest, sizes: [model, weights], times, .. } = self;
        let times = times.map(|time| format!("{time:.1}")).join(" | ");
        format!(
            "| `{}`{} | {} | {model} | {weights} | {times} | {:.2} % | {told} |",
            manifest.model_version,
            method(manifest),
            manifest.training.parameters,
            100.0 * manifest.metrics.accuracy,
        )
    }
}

fn method(manifest: &Manifest) -> String {
    let Some(compression) = &manifest.compression else { return String::new() };
    let pruned = (compression.pruned > 0.0)
        .then(|| format!(", {:.0} % of channels pruned", 100.0 * compression.pruned));
    let int8 = if compression.int8 { ", int8" } else { "" };
    pruned.unwrap_or_default() + int8
}

/// Markdown.
pub(super) fn table(parent: &Path, compressed: &Path) -> anyhow::Result<String> {
    classifier::set_threads(1);
    let (parent, compressed) = (Artifact::open(parent)?, Artifact::open(compressed)?);
    let (before, after) = (parent.evaluation()?, compressed.evaluation()?);
    let Comparison { gained, lost, p_value } = Comparison::of(&after, &before)?;
    let pairs = before.predicted().iter().zip(after.predicted());
    let same = pairs.filter(|(before, after)| before == after).count();
    let agreement = 100.0 * same as f64 / before.images() as f64;

    let (mut parent, mut compressed) = (Measured::open(&parent)?, Measured::open(&compressed)?);
    for _ in 0..TURNS {
        parent.turn()?;
        compressed.turn()?;
    }
    let batches = BATCHES.map(|batch| format!("least µs per image, batch {batch}")).join(" | ");
    Ok([
        format!(
            "| model | parameters | model.pt, bytes | weights, bytes | {batches} | test accuracy | same answer | gained, lost | p, by McNemar's test |"
        ),
        format!("|---|{}", "---:|".repeat(7 + BATCHES.len())),
        parent.row("– | – | –"),
        compressed.row(&format!("{agreement:.2} % | {gained}, {lost} | {p_value:.3}")),
    ]
    .join("\n"))
}
