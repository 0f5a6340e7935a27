//! Random histories: people, pipelines and handlers write to one main, a model of Argo CD runs what it
//! says, and an auditor who shares no code with [`crate::decide`] looks at every commit.
//!
//! The same histories run over the in-memory [`memory::Memory`] and over a real repository: whatever
//! implements [`Sandbox`]. A history is a list of [`steps::Step`]s that each mean something without the
//! others, so a failing one shrinks.

pub mod argo;
pub mod auditor;
pub mod faults;
pub mod memory;
pub mod steps;
pub mod world;

use jiff::Timestamp;

use crate::mainline::Mainline;
use crate::object_id::CommitId;
use crate::snapshot::{Blobs, Commit, Mark};

/// A mainline that a test can also write to as a human does, and look into.
pub trait Sandbox: Mainline {
    /// The time of commits made from now on.
    fn set_clock(&mut self, now: Timestamp);

    /// Commits on top of main as it is, and pushes.
    fn commit_by_hand(&mut self, title: &str, edits: &[Edit]) -> CommitId;

    /// Everything that anybody can see.
    fn evidence(&mut self) -> (Vec<Commit>, Vec<Mark>, Blobs);

    /// Files at a commit.
    fn read(&mut self, commit: CommitId, paths: &[String]) -> Vec<Option<Vec<u8>>>;
}

#[derive(Debug, Clone)]
pub struct Edit {
    pub path: String,
    /// None removes the file.
    pub content: Option<String>,
}

/// `SplitMix64`: the same seed gives the same history on every machine.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % n).unwrap_or(0)
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
