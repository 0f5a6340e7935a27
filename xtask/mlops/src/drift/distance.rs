//! How far live counts are from a baseline's, whether chance explains it, and whether it matters.

use contract::drift::{ks, psi};
use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Limits {
    /// Expected share of false ones among signals that are said to have drifted.
    pub(super) false_discoveries: f64,
    pub(super) psi: f64,
    /// Images below which nothing is said.
    pub(super) least: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Distance {
    pub(super) psi: f64,
    pub(super) test: Test,
    /// That of the test: Kolmogorov's D, or chi-square.
    pub(super) statistic: f64,
    /// Probability of such a statistic, or a greater one, were both samples of one distribution.
    pub(super) p_value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Test {
    KolmogorovSmirnov,
    ChiSquare,
}

impl Distance {
    /// Of bins that have an order. Nothing where a side has no counts.
    pub(super) fn of_values(reference: &[u64], live: &[u64]) -> Option<Self> {
        let (psi, statistic) = (psi(reference, live)?, ks(reference, live)?);
        let p_value = kolmogorov(statistic, total(reference), total(live));
        Some(Self { psi, test: Test::KolmogorovSmirnov, statistic, p_value })
    }

    /// Of bins that have none.
    pub(super) fn of_classes(reference: &[u64], live: &[u64]) -> Option<Self> {
        let psi = psi(reference, live)?;
        let (statistic, p_value) = chi_square(reference, live);
        Some(Self { psi, test: Test::ChiSquare, statistic, p_value })
    }
}

fn total(counts: &[u64]) -> f64 {
    counts.iter().sum::<u64>() as f64
}

/// Probability of so great a distance of two samples: Kolmogorov's series, with Stephens's correction for small ones
/// ("Use of the Kolmogorov–Smirnov, Cramér–von Mises and related statistics without extensive tables", Journal of the
/// Royal Statistical Society B 32, 1970). Of binned values it is too great, never too small.
fn kolmogorov(distance: f64, reference: f64, live: f64) -> f64 {
    let root = (reference * live / (reference + live)).sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * distance;
    // The series is 1 here to fifteen digits, and converges too slowly to say so.
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        (-2.0 * (k * lambda).powi(2)).exp()
    };
    let series: f64 = (1..=100).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum();
    (2.0 * series).clamp(0.0, 1.0)
}

/// Of two samples of different size in the same bins: Pearson's test of homogeneity, and its probability.
fn chi_square(reference: &[u64], live: &[u64]) -> (f64, f64) {
    let (of_reference, of_live) = (total(reference), total(live));
    let ratio = (of_live / of_reference).sqrt();
    let used = reference.iter().zip(live).filter(|(r, l)| **r + **l > 0);
    let terms = used.map(|(&r, &l)| {
        let (r, l) = (r as f64, l as f64);
        (ratio * r - l / ratio).powi(2) / (r + l)
    });
    let (bins, statistic) = terms.fold((0, 0.0), |(bins, sum), term| (bins + 1, sum + term));
    let freedom = f64::from(bins - 1);
    let p_value = ChiSquared::new(freedom).map_or(1.0, |chi_square| chi_square.sf(statistic));
    (statistic, p_value)
}

/// Each p-value times how many there are per rank, made monotonous: below a level it is a discovery at that rate of
/// false ones (Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society
/// B 57, 1995).
pub(super) fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[other].total_cmp(&p_values[one]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 1.0f64;
    for (above, &index) in order.iter().enumerate() {
        let rank = p_values.len() - above;
        least = least.min(p_values[index] * p_values.len() as f64 / rank as f64);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-3 * wanted, "{found}, not {wanted}");
    }

    /// Wanted values: `scipy.stats.chi2_contingency` and `scipy.special.kolmogorov`, `SciPy` 1.17.
    #[test]
    fn probabilities_are_those_that_scipy_gives() {
        let (statistic, p_value) = chi_square(&[100, 200, 300], &[20, 30, 70]);
        close(statistic, 3.525_264);
        close(p_value, 0.171_593);
        close(kolmogorov(0.05, 1e6, 1000.0), 0.013_024);
        close(kolmogorov(0.0, 1000.0, 1000.0), 1.0);
        assert!(kolmogorov(0.5, 1e4, 1e4) < 1e-100);
    }

    #[test]
    fn one_class_alone_cannot_have_drifted() {
        close(chi_square(&[10, 0], &[500, 0]).1, 1.0);
    }

    /// By hand, and as `statsmodels.stats.multitest.multipletests(method="fdr_bh")` has it.
    #[test]
    fn discoveries_are_adjusted_for_how_many_were_looked_for() {
        let found = adjusted(&[0.01, 0.04, 0.03, 0.005, 0.5]);
        for (found, wanted) in found.into_iter().zip([0.025, 0.05, 0.05, 0.025, 0.5]) {
            close(found, wanted);
        }
        assert!(adjusted(&[]).is_empty());
    }
}
