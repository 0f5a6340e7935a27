//! All randomness of a training and of generated pictures: sequences that depend on their key and on
//! nothing else, so that any epoch, any step and any picture can be repeated alone, on any machine.
//!
//! libtorch's generator is left untouched: it is one global state, which cannot be written to a
//! checkpoint and which two trainings in one process would share.
//!
//! SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

/// What a sequence is for: the second part of its key.
pub(crate) const HOLDOUT: u64 = 1;
pub(crate) const INITIAL: u64 = 2;
pub(crate) const ORDER: u64 = 3;
pub(crate) const AUGMENT: u64 = 4;
pub(crate) const PROBES: u64 = 5;
pub(crate) const PERTURB: u64 = 6;

pub(crate) struct Random {
    state: u64,
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// Different keys give unrelated sequences, however close they are.
    pub(crate) fn new(key: [u64; 4]) -> Self {
        let state = key.into_iter().fold(0, |state, part| mix((state ^ part).wrapping_add(GAMMA)));
        Self { state }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Uniform over [0, 1), in steps that `f32` holds exactly.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    pub(crate) fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Bell-shaped with mean 0 and variance 1, never beyond ±3.5: a sum of four uniform values.
    pub(crate) fn bell(&mut self) -> f32 {
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        (sum - 2.0) * 1.732_050_8
    }

    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 32) % n as u64) as usize
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_splitmix64() {
        // Reference output of the authors' C code for the state 1234567.
        let mut random = Random { state: 1_234_567 };
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([random.next(), random.next()], expected);
    }

    #[test]
    fn bell_values_have_mean_0_and_variance_1() {
        let mut random = Random::new([1, 2, 3, 4]);
        let values: Vec<f32> = (0..100_000).map(|_| random.bell()).collect();
        let mean = values.iter().sum::<f32>() / 1e5;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
