//! [`Judgement`]: every criterion, whether it holds and by which numbers; and the numbers behind them, for the
//! report.

use std::fmt;

use contract::manifest::Manifest;
use contract::mcnemar::Comparison;
use contract::replay::Replay;

#[derive(Debug)]
pub(crate) struct Judgement {
    pub(super) candidate: Manifest,
    pub(super) champion: Option<Manifest>,
    pub(super) criteria: Vec<(bool, String)>,
    pub(super) classes: Vec<Row>,
    pub(super) perturbed: Vec<Row>,
    pub(super) replayed: Option<Replayed>,
}

/// How the candidate did on some of the images.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) images: u64,
    /// 0 to 1.
    pub(super) accuracy: f64,
    /// The policy names it.
    pub(super) judged: bool,
    /// None where the champion was not asked the same.
    pub(super) beside: Option<Beside>,
}

/// How the champion did on them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// 0 to 1.
    pub(super) accuracy: f64,
    pub(super) comparison: Comparison,
    /// The comparison's p-value among those of the same kind that are judged.
    pub(super) adjusted: f64,
}

#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) answers: Replay,
    /// SVG with what both call differently.
    pub(super) sheet: String,
}

impl Judgement {
    pub(crate) fn add(&mut self, holds: bool, sentence: String) {
        self.criteria.push((holds, sentence));
    }

    pub(crate) fn passed(&self) -> bool {
        self.criteria.iter().all(|(holds, _)| *holds)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(holds, sentence): &(bool, String)| {
            format!("{} {sentence}", if *holds { "holds:" } else { "fails:" })
        };
        let lines: Vec<_> = self.criteria.iter().map(line).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { gained, lost, .. } = self.comparison;
        write!(f, "{gained} images gained, {lost} lost, adjusted p = {:.3}", self.adjusted)
    }
}
