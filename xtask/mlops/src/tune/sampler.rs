//! Where to look next: at random, or by the tree-structured Parzen estimator of Bergstra et al., "Algorithms for
//! hyper-parameter optimization", 2011, with the components that Watanabe, "Tree-structured Parzen estimator", 2023,
//! recommends: kernels over all fields at once, even weights, a prior among them, and Scott's bandwidth with a floor.
//!
//! A point follows from seed, number and history; no state is kept between two.

use fastrand::Rng;
use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};

use super::space::Space;

/// Share of the history that counts as good.
const GOOD: f64 = 0.15;
/// Points that are drawn from the good ones, of which the best is taken.
const CANDIDATES: usize = 24;
/// Of a kernel before there are many; the range of a field is 1.
const WIDTH: f64 = 0.2;
/// No bandwidth is below the range divided by this.
const NARROWEST: f64 = 100.0;

/// What was tried, each a point of the space.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Best first.
    pub(super) ended: Vec<Vec<f64>>,
    /// Where others are looking; taken for bad, so that nobody looks there twice.
    pub(super) running: Vec<Vec<f64>>,
}

pub(super) fn random(space: &Space, seed: u64, number: usize) -> Vec<f64> {
    let mut rng = rng(seed, number);
    space.domains().map(|_| rng.f64()).collect()
}

pub(super) fn tpe(space: &Space, history: &History, seed: u64, number: usize) -> Vec<f64> {
    let mut rng = rng(seed, number);
    let choices: Vec<Option<usize>> = space.domains().map(super::space::Domain::choices).collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let count = (GOOD * history.ended.len() as f64).ceil() as usize;
    let (good, bad) = history.ended.split_at(count);
    let good = Parzen::of(good.to_vec(), &choices);
    let bad = Parzen::of([bad, &history.running].concat(), &choices);
    let candidates = (0..CANDIDATES).map(|_| good.draw(&mut rng));
    let gain = |point: &Vec<f64>| good.density(point) - bad.density(point);
    candidates.max_by(|one, other| gain(one).total_cmp(&gain(other))).unwrap_or_default()
}

fn rng(seed: u64, number: usize) -> Rng {
    let mut of_study = Rng::with_seed(seed);
    Rng::with_seed(of_study.u64(..) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A mixture of one kernel at each point and the prior, all with one weight.
struct Parzen<'a> {
    points: Vec<Vec<f64>>,
    choices: &'a [Option<usize>],
    width: f64,
}

impl<'a> Parzen<'a> {
    fn of(points: Vec<Vec<f64>>, choices: &'a [Option<usize>]) -> Self {
        let count = points.len() as f64;
        let scott = WIDTH * count.max(1.0).powf(-1.0 / (choices.len() as f64 + 4.0));
        let width = scott.max(1.0 / (count + 1.0).min(NARROWEST));
        Self { points, choices, width }
    }

    fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let kernel = self.points.get(rng.usize(..=self.points.len()));
        let share = |(field, choices): (usize, &Option<usize>)| {
            let centre = kernel.map(|point| point[field]);
            match (choices, centre) {
                (Some(count), Some(centre)) if rng.f64() < self.stay(*count) => {
                    (of_choice(centre, *count) as f64 + 0.5) / *count as f64
                }
                (Some(count), _) => (rng.usize(..*count) as f64 + 0.5) / *count as f64,
                (None, centre) => {
                    let (normal, below, inside) = self.normal(centre);
                    normal.inverse_cdf(below + rng.f64() * inside).clamp(0.0, 1.0)
                }
            }
        };
        self.choices.iter().enumerate().map(share).collect()
    }

    /// Its logarithm.
    fn density(&self, point: &[f64]) -> f64 {
        let kernels = self.points.iter().map(Some).chain([None]);
        let each: Vec<f64> = kernels.map(|kernel| self.kernel(kernel, point)).collect();
        let most = each.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + each.iter().map(|one| (one - most).exp()).sum::<f64>().ln()
            - (each.len() as f64).ln()
    }

    fn kernel(&self, kernel: Option<&Vec<f64>>, point: &[f64]) -> f64 {
        let of = |(field, choices): (usize, &Option<usize>)| {
            let centre = kernel.map(|kernel| kernel[field]);
            match (choices, centre) {
                (Some(count), centre) => {
                    let even = 1.0 / *count as f64;
                    let stay = self.stay(*count);
                    let is_it =
                        |centre| of_choice(centre, *count) == of_choice(point[field], *count);
                    match centre {
                        Some(centre) if is_it(centre) => (stay + (1.0 - stay) * even).ln(),
                        Some(_) => ((1.0 - stay) * even).ln(),
                        None => even.ln(),
                    }
                }
                (None, centre) => {
                    let (normal, _, inside) = self.normal(centre);
                    normal.ln_pdf(point[field]) - inside.ln()
                }
            }
        };
        self.choices.iter().enumerate().map(of).sum()
    }

    /// How likely a kernel of Aitchison and Aitken keeps its own choice; else any is as likely.
    fn stay(&self, count: usize) -> f64 {
        let kernels = self.points.len() as f64 + 1.0;
        1.0 / (1.0 + count as f64 / kernels)
    }

    /// Around a point, or the prior; what of it is below 0, and between 0 and 1.
    fn normal(&self, centre: Option<f64>) -> (Normal, f64, f64) {
        let (mean, width) = centre.map_or((0.5, 1.0), |centre| (centre, self.width));
        let normal = Normal::new(mean, width).expect("a width above 0");
        let below = normal.cdf(0.0);
        let inside = normal.cdf(1.0) - below;
        (normal, below, inside)
    }
}

fn of_choice(share: f64, count: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let index = (share * count as f64) as usize;
    index.min(count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: &str = "{lr: {log: [0.0001, 1]}, kind: {choice: [a, b, c]}, size: {int: [1, 64]}}";

    fn space() -> Space {
        let mut mistakes = Vec::new();
        let space = Space::of(&serde_yaml::from_str(SPACE).unwrap(), &mut mistakes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        space
    }

    /// A valley with its floor at `b`, lr 0.01 and size 48.
    fn cost(space: &Space, point: &[f64]) -> f64 {
        let params = space.at(point);
        let number = |field: &str| params[field].as_f64().unwrap();
        let apart = [0.5 * number("lr").log10() + 1.0, (number("size") - 48.0) / 32.0];
        let kind = if params["kind"] == "b" { 0.0 } else { 0.5 };
        apart.iter().map(|apart| apart * apart).sum::<f64>() + kind
    }

    /// The best cost of so many trials.
    fn best(sampler: impl Fn(&Space, &History, u64, usize) -> Vec<f64>, seed: u64) -> f64 {
        let space = space();
        let mut tried: Vec<(f64, Vec<f64>)> = Vec::new();
        for number in 0..40 {
            tried.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            let ended = tried.iter().map(|(_, point)| point.clone()).collect();
            let point = sampler(&space, &History { ended, running: Vec::new() }, seed, number);
            assert!(point.iter().all(|share| (0.0..=1.0).contains(share)), "{point:?}");
            tried.push((cost(&space, &point), point));
        }
        tried.iter().map(|(cost, _)| *cost).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn tpe_comes_nearer_to_the_best_than_chance_on_average() {
        const SEEDS: u64 = 20;
        let by_tpe = |space: &Space, history: &History, seed, number| {
            if number < 10 {
                random(space, seed, number)
            } else {
                tpe(space, history, seed, number)
            }
        };
        let mean = |of: &dyn Fn(u64) -> f64| (0..SEEDS).map(of).sum::<f64>() / SEEDS as f64;
        let tpe = mean(&|seed| best(by_tpe, seed));
        let chance = mean(&|seed| best(|space, _, seed, number| random(space, seed, number), seed));
        assert!(tpe < 0.5 * chance, "TPE {tpe:.4}, at random {chance:.4}");
    }

    #[test]
    fn a_point_follows_from_seed_number_and_history_alone() {
        let space = space();
        let history = || History {
            ended: (0..12).map(|number| random(&space, 7, number)).collect(),
            running: Vec::new(),
        };
        assert_eq!(tpe(&space, &history(), 1, 12), tpe(&space, &history(), 1, 12));
        assert_ne!(tpe(&space, &history(), 1, 12), tpe(&space, &history(), 2, 12));
        assert_ne!(tpe(&space, &history(), 1, 12), tpe(&space, &history(), 1, 13));
        assert_eq!(tpe(&space, &History::default(), 1, 0).len(), 3, "without any history");
    }
}
