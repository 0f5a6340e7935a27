//! What can happen, as data: a history is a list of steps, and any part of the list is one too.

use super::Dice;

/// Each step throws dice of its own, so that leaving one out changes no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub what: What,
    pub dice: u64,
}

macro_rules! steps {
    ($($what:ident $weight:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum What { $($what,)* }

        /// How often each is drawn.
        const WEIGHTS: &[(What, usize)] = &[$((What::$what, $weight),)*];
    };
}

steps! {
    // A good release, verified in both environments: drawn only as a beginning.
    Begin 0
    // People and pipelines.
    Release 10
    ReleaseAgain 3
    Promote 8
    RollBackByHand 2
    EditBase 3
    EditOverlay 5
    EditDocs 3
    EditPin 3
    RevertTheRollback 2
    MergeProposal 2
    Freeze 1
    Unfreeze 4
    Lift 1
    QuarantineByHand 2
    BreakHolds 1
    MendHolds 6
    // The cluster.
    Poll 8
    Finish 8
    Settle 24
    Watch 2
    Wait 2
    // Delivery of events.
    Deliver 10
    DeliverTwice 3
    DeliverStale 3
    Lose 1
    Race 5
    Intrude 4
    Kill 4
    Crowd 2
    // A report about a commit that main does not have.
    Stray 1
    Tamper 4
    Outage 4
}

pub fn history(seed: u64, most: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let total: usize = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let length = most / 2 + dice.below(most / 2 + 1);
    let draw = |dice: &mut Dice| {
        let mut rest = dice.below(total);
        for (what, weight) in WEIGHTS {
            if rest < *weight {
                return *what;
            }
            rest -= weight;
        }
        What::Settle
    };
    // A quarter begins in a fork that has never released.
    let begin = dice.percent(75).then_some(What::Begin);
    let drawn: Vec<_> = (0..length).map(|_| draw(&mut dice)).collect();
    let steps = begin.into_iter().chain(drawn);
    steps.map(|what| Step { what, dice: dice.roll() }).collect()
}

/// The shortest list of these steps that still fails, by leaving out ever smaller pieces.
pub fn shrink(steps: &[Step], fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let mut piece = steps.len() / 2;
    while piece > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + piece).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
            } else {
                from += piece;
            }
        }
        piece /= 2;
    }
    steps
}
