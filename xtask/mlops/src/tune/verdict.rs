//! [`Verdict`]: whether the best recipe of a search is better than the one it began with, by trainings that the search
//! has not seen: pairs with one seed each, and Student's interval of the mean difference.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::state::{End, How, Seen};
use super::study::Study;
use super::work;

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing that was tried, or nothing but the base recipe.
    NothingFound,
    /// No seeds were spent on it, or a training of a pair failed.
    Unconfirmed,
    Compared(Comparison),
}

#[derive(Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) pairs: Vec<Pair>,
    /// Of the best minus the base, of the objective.
    pub(super) mean: f64,
    /// In which the mean difference of all seeds is, 95 of 100 times.
    pub(super) interval: (f64, f64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) seed: u64,
    pub(super) base: f64,
    pub(super) best: f64,
    pub(super) seconds: (f64, f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Better,
    Worse,
    Open,
}

impl Verdict {
    pub(super) fn of(study: &Study, seen: &Seen) -> Self {
        if work::best(study, seen).is_none_or(|(number, _)| number == 0) {
            return Self::NothingFound;
        }
        let ends: Option<Vec<(u64, &End)>> = work::confirmations(study, seen)
            .iter()
            .map(|one| {
                let end = seen.trials.get(&one.trial)?.end.as_ref()?;
                (end.how == How::Finished).then_some((one.seed, end))
            })
            .collect();
        let pairs = ends.unwrap_or_default();
        let pairs = pairs.chunks_exact(2).filter_map(|pair| {
            let [(of_both, base), (_, best)] = pair else { return None };
            let seconds = (base.seconds, best.seconds);
            Some(Pair { seed: *of_both, base: base.value?, best: best.value?, seconds })
        });
        Comparison::of(pairs.collect()).map_or(Self::Unconfirmed, Self::Compared)
    }
}

impl Comparison {
    /// None of fewer than two pairs.
    fn of(pairs: Vec<Pair>) -> Option<Self> {
        let count = pairs.len() as f64;
        if pairs.len() < 2 {
            return None;
        }
        let differences: Vec<f64> = pairs.iter().map(|pair| pair.best - pair.base).collect();
        let mean = differences.iter().sum::<f64>() / count;
        let squares: f64 = differences.iter().map(|one| (one - mean).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt();
        let students = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
        let half = students.inverse_cdf(0.975) * error;
        Some(Self { pairs, mean, interval: (mean - half, mean + half) })
    }

    pub(super) fn standing(&self, study: &Study) -> Standing {
        let cost = |difference| study.written.objective.cost(difference);
        let (one, other) = (cost(self.interval.0), cost(self.interval.1));
        if one < 0.0 && other < 0.0 {
            Standing::Better
        } else if one > 0.0 && other > 0.0 {
            Standing::Worse
        } else {
            Standing::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students_of_the_differences() {
        let pair = |base: f64, best: f64| Pair { seed: 1, base, best, seconds: (1.0, 1.0) };
        let pairs = vec![pair(0.0, 1.0), pair(1.0, 3.0), pair(2.0, 5.0)];
        let found = Comparison::of(pairs).unwrap();
        // 2 ± 4.302653 · 1 / √3.
        assert!((found.mean - 2.0).abs() < 1e-12);
        assert!((found.interval.0 + 0.484_138).abs() < 1e-5, "{found:?}");
        assert!(Comparison::of(vec![pair(0.0, 1.0)]).is_none(), "one pair has no spread");
    }
}
