//! How much each field decides whether a trial is among the best: PED-ANOVA, Watanabe, Bansal and Hutter, 2023. The
//! better trials' distribution of a field is compared, by Pearson's divergence, with that of all trials.

use super::sampler::History;
use super::space::{Domain, Space};

/// Share of the trials that counts as good.
const GOOD: f64 = 0.2;
const FEWEST_GOOD: usize = 3;
/// With fewer trials than this the figures are mostly chance.
pub(super) const FEW: usize = 30;
/// Cells of a field that has an order.
const CELLS: usize = 50;

/// Shares that sum to 1, by field; none where all trials are alike or too few.
pub(super) fn importance(space: &Space, history: &History) -> Option<Vec<(String, f64)>> {
    let all = &history.ended;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let good = ((GOOD * all.len() as f64).ceil() as usize).max(FEWEST_GOOD);
    if all.len() <= good {
        return None;
    }
    let divergence = |(field, domain): (usize, &Domain)| {
        let of = |points: &[Vec<f64>]| {
            let shares: Vec<f64> = points.iter().map(|point| point[field]).collect();
            density(&shares, domain.choices())
        };
        let (good, all) = (of(&all[..good]), of(all));
        good.iter().zip(&all).map(|(good, all)| all * (good / all - 1.0).powi(2)).sum::<f64>()
    };
    let found: Vec<f64> = space.domains().enumerate().map(divergence).collect();
    let sum: f64 = found.iter().sum();
    if sum <= 0.0 {
        return None;
    }
    let mut shares: Vec<(String, f64)> =
        space.fields().map(str::to_owned).zip(found.iter().map(|one| one / sum)).collect();
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    Some(shares)
}

/// By cell, a kernel at each share and one even kernel.
fn density(shares: &[f64], choices: Option<usize>) -> Vec<f64> {
    let cells = choices.unwrap_or(CELLS);
    let middle = |cell: usize| (cell as f64 + 0.5) / cells as f64;
    let count = shares.len() as f64;
    // Scott's rule, with the spread of an even distribution as its floor and its ceiling.
    let width = 0.289 * count.max(1.0).powf(-0.2);
    let mut density = vec![1.0 / cells as f64; cells];
    for share in shares {
        let kernel: Vec<f64> = (0..cells)
            .map(|cell| match choices {
                Some(_) => f64::from((middle(cell) - share).abs() < 0.5 / cells as f64),
                None => (-0.5 * ((middle(cell) - share) / width).powi(2)).exp(),
            })
            .collect();
        let sum: f64 = kernel.iter().sum();
        density.iter_mut().zip(&kernel).for_each(|(cell, kernel)| *cell += kernel / sum.max(1e-12));
    }
    density.iter().map(|cell| cell / (count + 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::sampler::random;

    const SPACE: &str =
        "{much: {uniform: [0, 1]}, none: {uniform: [0, 1]}, some: {choice: [a, b]}}";

    #[test]
    fn what_decides_is_told_from_what_does_not() {
        let space = Space::of(&serde_yaml::from_str(SPACE).unwrap(), &mut Vec::new());
        for seed in 0..10 {
            let mut ended: Vec<_> = (0..60).map(|number| random(&space, seed, number)).collect();
            let cost =
                |point: &[f64]| (point[0] - 0.3).powi(2) + if point[2] > 0.5 { 0.02 } else { 0.0 };
            ended.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
            let shares = importance(&space, &History { ended, running: Vec::new() }).unwrap();
            let order: Vec<&str> = shares.iter().map(|(field, _)| field.as_str()).collect();
            assert_eq!(order[0], "much", "seed {seed}: {shares:?}");
            assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        }
        assert!(importance(&space, &History::default()).is_none());
    }
}
