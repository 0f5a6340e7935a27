//! [`Report`]: what came of the comparison. JSON and Markdown are projections of it.

use std::collections::BTreeMap;
use std::fmt;

use contract::baseline::{CLASS, SIGNALS};
use contract::drift::psi;
use contract::manifest::{Manifest, ModelVersion};
use contract::record::skip::Skip;
use serde::Serialize;

use super::distance::{Distance, Limits, adjusted};
use super::tally::{Counts, Tally};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    model_version: ModelVersion,
    model: String,
    limits: Limits,
    /// Of the baseline, and of the records.
    tested_on: u64,
    images: u64,
    pub(super) signals: Vec<Signal>,
    stretches: Vec<Stretch>,
    /// Lines by the reason why they were not counted.
    skipped: BTreeMap<Skip, u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Signal {
    #[serde(rename = "signal")]
    pub(super) name: &'static str,
    /// Nothing where there are too few images.
    #[serde(flatten)]
    pub(super) distance: Option<Distance>,
    /// The p-value, adjusted for how many signals there are.
    adjusted_p_value: Option<f64>,
    pub(super) drifted: bool,
}

#[derive(Debug, Serialize)]
struct Stretch {
    from: String,
    images: u64,
    /// Population stability index by signal; nothing where there are too few images.
    psi: Option<BTreeMap<&'static str, f64>>,
}

impl Report {
    pub(super) fn of(tally: &Tally<'_>, manifest: &Manifest, limits: Limits) -> Self {
        let images = images(&tally.all);
        let references = tally.baseline.distributions();
        let distance = |signal: usize| {
            let (reference, live) = (references[signal], &tally.all[signal][..]);
            let of = if signal == CLASS { Distance::of_classes } else { Distance::of_values };
            of(reference, live).filter(|_| images >= limits.least)
        };
        let distances: [Option<Distance>; SIGNALS.len()] = std::array::from_fn(distance);
        let p_values: Vec<f64> = distances.iter().flatten().map(|found| found.p_value).collect();
        let mut adjusted = adjusted(&p_values).into_iter();
        let signals = SIGNALS.into_iter().zip(distances).map(|(signal, distance)| {
            let adjusted = distance.and_then(|_| adjusted.next());
            let is_beyond_chance = adjusted.is_some_and(|p| p <= limits.false_discoveries);
            let matters = distance.is_some_and(|found| found.psi >= limits.psi);
            let drifted = is_beyond_chance && matters;
            Signal { name: signal, distance, adjusted_p_value: adjusted, drifted }
        });
        let stretches = tally.stretches.iter().map(|(from, counts)| {
            let pairs = SIGNALS.into_iter().zip(references.into_iter().zip(counts));
            let psi = pairs
                .filter_map(|(signal, (reference, live))| Some((signal, psi(reference, live)?)));
            let images = self::images(counts);
            let psi = (images >= limits.least).then(|| psi.collect());
            Stretch { from: from.clone(), images, psi }
        });
        Self {
            model_version: manifest.model_version.clone(),
            model: manifest.title(),
            limits,
            tested_on: references[CLASS].iter().sum(),
            images,
            signals: signals.collect(),
            stretches: stretches.collect(),
            skipped: tally.skipped.clone(),
        }
    }

    /// Why nothing can be said, where that is so.
    pub(super) fn undecided(&self) -> Option<String> {
        let Self { images, limits, model_version, .. } = self;
        if *images >= limits.least {
            return None;
        }
        let others = self.skipped.get(&Skip::OtherModel).copied().unwrap_or_default();
        let hint = if others > *images {
            format!(
                "another model answered {others} times than {model_version}: `--model DIR` names its artifact"
            )
        } else {
            "longer logs; or `--least N`, and less is certain".to_owned()
        };
        let least = limits.least;
        Some(format!(
            "nothing can be said of fewer than {least} images, and there are {images}\n\nhint: {hint}"
        ))
    }

    pub(super) fn drifted(&self) -> Vec<&'static str> {
        self.signals.iter().filter(|signal| signal.drifted).map(|signal| signal.name).collect()
    }
}

fn images(counts: &Counts) -> u64 {
    counts[CLASS].iter().sum()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model_version, model, limits, tested_on, images, .. } = self;
        writeln!(f, "# Drift of {model}, model {model_version}\n")?;
        writeln!(f, "{images} images of records beside {tested_on} of the model's test.\n")?;
        if *images < limits.least {
            writeln!(f, "**Nothing can be said** of fewer than {} images.\n", limits.least)?;
        } else if self.drifted().is_empty() {
            writeln!(f, "**Nothing drifted.**\n")?;
        } else {
            writeln!(f, "**Drifted: {}.**\n", self.drifted().join(", "))?;
        }
        writeln!(f, "| signal | PSI | distance | adjusted p | |\n|---|---|---|---|---|")?;
        for Signal { name, distance, adjusted_p_value, drifted } in &self.signals {
            let verdict = if *drifted { "**drifted**" } else { "" };
            match (distance, adjusted_p_value) {
                (Some(Distance { psi, statistic, .. }), Some(p)) => {
                    writeln!(f, "| {name} | {psi:.3} | {statistic:.3} | {p:.1e} | {verdict} |")?;
                }
                _ => writeln!(f, "| {name} | – | – | – | |")?,
            }
        }
        let Limits { false_discoveries, psi, .. } = limits;
        writeln!(
            f,
            "\nDrifted is what has a PSI of {psi} or more that chance does not explain (adjusted p of at most {false_discoveries})."
        )?;
        if self.stretches.len() > 1 {
            writeln!(f, "\n| from | images | {} |", SIGNALS.join(" | "))?;
            writeln!(f, "|---|---|{}", "---|".repeat(SIGNALS.len()))?;
            for Stretch { from, images, psi } in &self.stretches {
                let of = |signal: &str| match psi.as_ref().and_then(|psi| psi.get(signal)) {
                    Some(psi) => format!("{psi:.3}"),
                    None => "–".to_owned(),
                };
                writeln!(f, "| {from} | {images} | {} |", SIGNALS.map(of).join(" | "))?;
            }
        }
        if !self.skipped.is_empty() {
            writeln!(f, "\n| lines not counted | |\n|---|---|")?;
            for (skip, lines) in &self.skipped {
                writeln!(f, "| {} | {lines} |", skip.reason())?;
            }
        }
        Ok(())
    }
}
