//! [`Comparison`]: two models on the same images. Only images that one of them classified rightly and
//! the other wrongly tell them apart: `McNemar`, "Note on the sampling error of the difference between
//! correlated proportions or percentages", Psychometrika 12, 1947.

use crate::evaluation::Evaluation;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Images that only the candidate classified rightly.
    pub gained: u64,
    /// Images that only the champion classified rightly.
    pub lost: u64,
    /// Probability of losing so many or more of the images that tell the two apart, were both equally
    /// good: small where the candidate is worse beyond chance. 1 where none tells them apart.
    pub p_value: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotComparable {
    #[error("one was evaluated on `{candidate}`, the other on `{champion}`")]
    Suites { candidate: String, champion: String },
    #[error("one was evaluated on {candidate} images, the other on {champion}")]
    Counts { candidate: usize, champion: usize },
    #[error(
        "image {index} of `{suite}` is labelled {candidate} for one and {champion} for the other"
    )]
    Labels { suite: String, index: usize, candidate: usize, champion: usize },
}

impl Comparison {
    pub fn of(candidate: &Evaluation, champion: &Evaluation) -> Result<Self, NotComparable> {
        if candidate.suite() != champion.suite() {
            return Err(NotComparable::Suites {
                candidate: candidate.suite().to_owned(),
                champion: champion.suite().to_owned(),
            });
        }
        if candidate.images() != champion.images() {
            return Err(NotComparable::Counts {
                candidate: candidate.images(),
                champion: champion.images(),
            });
        }
        let (mut gained, mut lost) = (0, 0);
        for index in 0..candidate.images() {
            let (label, other) = (candidate.labels()[index], champion.labels()[index]);
            if label != other {
                return Err(NotComparable::Labels {
                    suite: candidate.suite().to_owned(),
                    index,
                    candidate: label,
                    champion: other,
                });
            }
            match (candidate.predicted()[index] == label, champion.predicted()[index] == label) {
                (true, false) => gained += 1,
                (false, true) => lost += 1,
                _ => {}
            }
        }
        Ok(Self { gained, lost, p_value: at_least(lost, gained + lost) })
    }
}

/// Probability of `k` or more heads in `n` throws of a fair coin: the exact test of `McNemar`'s hypothesis.
/// In logarithms, since 2⁻ⁿ is no f64 for n above 1074; time O(n).
fn at_least(k: u64, n: u64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    let ln = |number: u64| (number as f64).ln();
    // ln of C(n, k) · 2⁻ⁿ.
    let mut term = (1..=k).map(|i| ln(n - k + i) - ln(i)).sum::<f64>() - n as f64 * 2f64.ln();
    let mut sum = term;
    for i in k..n {
        term += ln(n - i) - ln(i + 1);
        let (large, small) = if sum > term { (sum, term) } else { (term, sum) };
        sum = large + (small - large).exp().ln_1p();
    }
    sum.exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fair_coin_is_thrown_as_often_as_it_takes() {
        // Exact sums of binomial coefficients, by rational arithmetic in Python.
        for (k, n, expected) in [
            (0, 0, 1.0),
            (0, 7, 1.0),
            (7, 7, 0.007_812_5),
            (1, 1, 0.5),
            (9, 21, 0.808_344_841_003_418),
            (12, 21, 0.331_811_904_907_226_56),
            (30, 40, 0.001_110_716_886_614_682_2),
            (520, 1000, 0.108_724_146_602_070_47),
            (5_100, 10_000, 0.023_292_763_852_473_693),
        ] {
            let found = at_least(k, n);
            assert!((found - expected).abs() < 1e-9 * expected.max(1e-3), "{k} of {n}: {found}");
        }
        assert!(at_least(1_000_000, 1_000_000) < 1e-300);
    }

    fn evaluation(suite: &str, labels: &[usize], predicted: &[usize]) -> Evaluation {
        Evaluation::new(suite.to_owned(), 3, labels.to_vec(), predicted.to_vec()).unwrap()
    }

    #[test]
    fn only_images_that_tell_two_models_apart_count() {
        let champion = evaluation("toy", &[0, 1, 2, 0, 1], &[0, 1, 2, 1, 0]);
        let candidate = evaluation("toy", &[0, 1, 2, 0, 1], &[0, 1, 0, 0, 2]);
        let comparison = Comparison::of(&candidate, &champion).unwrap();
        assert_eq!(comparison, Comparison { gained: 1, lost: 1, p_value: 0.75 });
        let same = Comparison::of(&champion, &champion).unwrap();
        assert_eq!(same, Comparison { gained: 0, lost: 0, p_value: 1.0 });
    }

    #[test]
    fn other_images_or_labels_are_no_comparison() {
        let toy = evaluation("toy", &[0, 1], &[0, 1]);
        for (other, word) in [
            (evaluation("real", &[0, 1], &[0, 1]), "`real`"),
            (evaluation("toy", &[0, 1, 1], &[0, 1, 1]), "on 3"),
            (evaluation("toy", &[0, 2], &[0, 1]), "image 1 of `toy`"),
        ] {
            let error = Comparison::of(&toy, &other).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
