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
        let classes = Self::by_class(candidate, champion)?;
        let sum = |count: fn(&Self) -> u64| classes.iter().map(count).sum();
        Ok(Self::new(sum(|class| class.gained), sum(|class| class.lost)))
    }

    /// On the images of each class alone, in the order of the classes.
    pub fn by_class(
        candidate: &Evaluation,
        champion: &Evaluation,
    ) -> Result<Vec<Self>, NotComparable> {
        demand_same_images(candidate, champion)?;
        let mut counts = vec![(0, 0); candidate.classes()];
        let answers = candidate.predicted().iter().zip(champion.predicted());
        for (&label, (one, other)) in candidate.labels().iter().zip(answers) {
            let (gained, lost) = &mut counts[label];
            match (*one == label, *other == label) {
                (true, false) => *gained += 1,
                (false, true) => *lost += 1,
                _ => {}
            }
        }
        Ok(counts.into_iter().map(|(gained, lost)| Self::new(gained, lost)).collect())
    }

    fn new(gained: u64, lost: u64) -> Self {
        Self { gained, lost, p_value: at_least(lost, gained + lost) }
    }
}

fn demand_same_images(candidate: &Evaluation, champion: &Evaluation) -> Result<(), NotComparable> {
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
    let labels = candidate.labels().iter().zip(champion.labels());
    match labels.enumerate().find(|(_, (one, other))| one != other) {
        None => Ok(()),
        Some((index, (&candidate_label, &champion_label))) => Err(NotComparable::Labels {
            suite: candidate.suite().to_owned(),
            index,
            candidate: candidate_label,
            champion: champion_label,
        }),
    }
}

/// Each p-value as it is among several: one that stays at or below a limit would do so by chance, in any of
/// them, with the limit's probability at most. Holm, "A simple sequentially rejective multiple test procedure",
/// Scandinavian Journal of Statistics 6, 1979.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, index) in order.into_iter().enumerate() {
        let remaining = p_values.len() - rank;
        largest = largest.max(p_values[index] * remaining as f64).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
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

    #[test]
    fn each_class_is_compared_by_its_own_images() {
        let champion = evaluation("toy", &[0, 0, 1, 1, 2], &[0, 0, 1, 0, 1]);
        let candidate = evaluation("toy", &[0, 0, 1, 1, 2], &[1, 2, 1, 1, 0]);
        let classes = Comparison::by_class(&candidate, &champion).unwrap();
        let counts: Vec<_> = classes.iter().map(|class| (class.gained, class.lost)).collect();
        assert_eq!(counts, [(0, 2), (1, 0), (0, 0)]);
        assert_eq!(classes.iter().map(|class| class.p_value).collect::<Vec<_>>(), [0.25, 1.0, 1.0]);
    }

    #[test]
    fn of_several_p_values_each_is_held_against_how_many_are_left() {
        // R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }
}
