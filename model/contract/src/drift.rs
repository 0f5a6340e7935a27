//! How far live counts are from reference counts in the same bins. One definition for the service's gauges and
//! for whoever reads records later.

/// Population stability index: Σ (q − p) · ln(q / p) over the bins, p of the reference and q of what is live; 0
/// where both are alike, without an upper bound. By the usual rule of thumb less than 0.1 is no change and more
/// than 0.2 one to look at. Half a count is added to each bin (Jeffreys' prior), so that an empty bin is rare and
/// not impossible. Nothing where a side has no counts, or the bins differ.
pub fn psi(reference: &[u64], live: &[u64]) -> Option<f64> {
    let (reference, live) = comparable(reference, live)?;
    let bins = reference.len() as f64;
    let share = |counts: &[u64], count: u64| {
        (count as f64 + 0.5) / (counts.iter().sum::<u64>() as f64 + 0.5 * bins)
    };
    let pairs = reference.iter().zip(live);
    Some(
        pairs
            .map(|(&r, &l)| {
                let (p, q) = (share(reference, r), share(live, l));
                (q - p) * (q / p).ln()
            })
            .sum(),
    )
}

/// Kolmogorov–Smirnov statistic of binned values: the largest distance of the two cumulative shares, 0 to 1. Bins
/// hide what moves inside them, so it is a lower bound of the statistic of the values. Meaningless where bins have
/// no order. Nothing where a side has no counts, or the bins differ.
pub fn ks(reference: &[u64], live: &[u64]) -> Option<f64> {
    let (reference, live) = comparable(reference, live)?;
    let total = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let (of_reference, of_live) = (total(reference), total(live));
    let (mut r, mut l, mut most) = (0, 0, 0f64);
    for (one, other) in reference.iter().zip(live) {
        (r, l) = (r + one, l + other);
        most = most.max((r as f64 / of_reference - l as f64 / of_live).abs());
    }
    Some(most)
}

fn comparable<'a>(reference: &'a [u64], live: &'a [u64]) -> Option<(&'a [u64], &'a [u64])> {
    let counted = |counts: &[u64]| counts.iter().any(|count| *count > 0);
    (reference.len() == live.len() && counted(reference) && counted(live))
        .then_some((reference, live))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_shares_are_no_distance_apart() {
        let (reference, live) = ([1000, 3000, 6000], [100, 300, 600]);
        assert!(psi(&reference, &live).unwrap() < 1e-4);
        assert_eq!(ks(&reference, &live), Some(0.0));
    }

    #[test]
    fn distances_are_those_of_the_formulas() {
        // By hand: p = (½, ½), q = (¼, ¾), and half a count does not matter among a million.
        let (reference, live) = ([1_000_000, 1_000_000], [500_000, 1_500_000]);
        let by_hand = -0.25 * 0.5f64.ln() + 0.25 * 1.5f64.ln();
        assert!((psi(&reference, &live).unwrap() - by_hand).abs() < 1e-5);
        assert!((ks(&reference, &live).unwrap() - 0.25).abs() < 1e-12);
    }

    #[test]
    fn what_was_never_seen_before_is_far_away_and_finite() {
        let distance = psi(&[1000, 0], &[0, 1000]).unwrap();
        assert!((10.0..20.0).contains(&distance), "{distance}");
        assert_eq!(ks(&[1000, 0], &[0, 1000]), Some(1.0));
    }

    #[test]
    fn nothing_is_said_where_nothing_can_be_compared() {
        for (reference, live) in [(&[1, 2][..], &[0, 0][..]), (&[0, 0], &[1, 2]), (&[1, 2], &[1])] {
            assert_eq!(psi(reference, live), None);
            assert_eq!(ks(reference, live), None);
        }
    }
}
