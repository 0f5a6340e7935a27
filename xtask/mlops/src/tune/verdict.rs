//! [`Verdict`]: whether the best recipe of a search is better than the one it began with, by trainings that the search
//! has not seen: pairs with one seed each, and Student's interval of the mean difference.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::state::{End, How, Seen};
use super::study::Study;
use super::work::{self, Confirmation};

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing that was tried, or nothing but the base recipe.
    NothingFound,
    /// No seeds were spent on it.
    Unconfirmed,
    /// Trainings that were to confirm it failed with these seeds, so that pairs are missing.
    Failed(Vec<u64>),
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
        let confirmations = work::confirmations(study, seen);
        let ended = |one: &Confirmation| {
            seen.trials.get(&one.trial).and_then(|trial| Some((one.seed, trial.end.as_ref()?)))
        };
        let ends: Vec<(u64, &End)> = confirmations.iter().filter_map(ended).collect();
        let mut failed: Vec<u64> = ends
            .iter()
            .filter_map(|(seed, end)| (end.how != How::Finished).then_some(*seed))
            .collect();
        failed.dedup();
        if !failed.is_empty() {
            return Self::Failed(failed);
        }
        let pairs = if ends.len() == confirmations.len() { ends } else { Vec::new() };
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
    use super::super::state::Trial;
    use super::*;

    #[test]
    fn a_confirmation_that_failed_is_a_verdict_of_its_own() {
        let study = Study::of_one_field(2);
        let mut seen = Seen::default();
        let mut ended = |name: &str, x, value| {
            seen.trials.insert(name.to_owned(), Trial::of_one_field(x, value, 0));
            Verdict::of(&study, &seen)
        };
        assert_eq!(ended("0000", 1.0, Ok(0.5)), Verdict::NothingFound);
        assert_eq!(ended("0001", 2.0, Ok(0.6)), Verdict::Unconfirmed);
        assert_eq!(ended("0000-seed-1", 1.0, Ok(0.5)), Verdict::Unconfirmed);
        assert_eq!(ended("0001-seed-1", 2.0, Ok(0.6)), Verdict::Unconfirmed);
        assert_eq!(ended("0000-seed-2", 1.0, Err("killed")), Verdict::Failed(vec![2]));
        assert_eq!(ended("0001-seed-2", 2.0, Err("killed")), Verdict::Failed(vec![2]));
        assert_eq!(ended("0001-seed-1", 2.0, Err("killed")), Verdict::Failed(vec![1, 2]));
        ended("0001-seed-1", 2.0, Ok(0.6));
        ended("0000-seed-2", 1.0, Ok(0.5));
        assert!(matches!(ended("0001-seed-2", 2.0, Ok(0.7)), Verdict::Compared(_)));
    }

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
