//! All randomness of a training: sequences that depend on their key and on nothing else, so that any
//! epoch and any step can be repeated alone, on any machine.
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

    /// One of `0..n`.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below n, a usize")]
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
