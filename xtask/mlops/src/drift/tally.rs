//! [`Tally`]: predictions counted in the bins of a baseline, all of them and by stretch of time, and what was skipped.

use std::collections::BTreeMap;

use contract::baseline::{Baseline, SIGNALS};
use contract::record::skip::Skip;

use super::observed::Observed;

/// Stretches of time that are looked at on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Every {
    Hour,
    Day,
    Month,
}

/// More stretches than a report can show are counted in the last of them, so that memory is bounded.
const STRETCHES: usize = 1000;

impl Every {
    /// Of a time as records have it.
    fn of(self, at: &str) -> &str {
        match self {
            Self::Hour => &at[.."0000-00-00T00".len()],
            Self::Day => &at[.."0000-00-00".len()],
            Self::Month => &at[.."0000-00".len()],
        }
    }
}

/// In the bins of each signal.
pub(super) type Counts = [Vec<u64>; SIGNALS.len()];

pub(super) struct Tally<'a> {
    pub(super) baseline: &'a Baseline,
    pub(super) all: Counts,
    /// By the start of their time.
    pub(super) stretches: BTreeMap<String, Counts>,
    pub(super) skipped: BTreeMap<Skip, u64>,
    every: Every,
}

impl<'a> Tally<'a> {
    pub(super) fn new(baseline: &'a Baseline, every: Every) -> Self {
        let (all, stretches, skipped) = (none(baseline), BTreeMap::new(), BTreeMap::new());
        Self { baseline, all, stretches, skipped, every }
    }

    pub(super) fn count(&mut self, read: &Result<Observed<'_>, Skip>) {
        match *read {
            Ok(Observed { at, features, confidence, label }) => {
                let bins = self.baseline.bins(features, confidence, label);
                add(&mut self.all, bins);
                add(self.stretch(at), bins);
            }
            Err(skip) => *self.skipped.entry(skip).or_default() += 1,
        }
    }

    fn stretch(&mut self, at: &str) -> &mut Counts {
        let mut start = self.every.of(at);
        if !self.stretches.contains_key(start) {
            if self.stretches.len() < STRETCHES {
                self.stretches.insert(start.to_owned(), none(self.baseline));
            } else {
                start = "later";
            }
        }
        self.stretches.entry(start.to_owned()).or_insert_with(|| none(self.baseline))
    }
}

fn none(baseline: &Baseline) -> Counts {
    baseline.distributions().map(|counts| vec![0; counts.len()])
}

fn add(counts: &mut Counts, bins: [usize; SIGNALS.len()]) {
    for (counts, bin) in counts.iter_mut().zip(bins) {
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }
}
