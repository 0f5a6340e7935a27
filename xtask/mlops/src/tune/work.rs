//! What is to be done next, from what is known and nothing else, so that all workers see the same: the trials of the
//! search, the base recipe first; and when all have ended, the best and the base recipe with seeds that no trial had.

use super::sampler::{self, History};
use super::space::Params;
use super::state::{How, Seen, Trial};
use super::study::{Sampler, Study};

/// One training.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Work {
    pub(super) trial: String,
    /// How many have claimed it before.
    pub(super) turn: usize,
    pub(super) params: Params,
    pub(super) seed: u64,
    /// Rungs may stop it.
    pub(super) is_search: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Take(Work),
    /// Others are at what is left, these trials.
    Wait(Vec<String>),
    Done,
}

/// `is_lost`: whether the last worker at a trial is gone.
pub(super) fn next(study: &Study, seen: &Seen, is_lost: impl Fn(&str, &Trial) -> bool) -> Next {
    let search = (0..study.written.trials).map(|number| {
        let begin = move || (params(study, seen, number), study.written.seed);
        (name(number), begin)
    });
    first(search, true, seen, &is_lost)
        .or_else(|| {
            let confirmations = confirmations(study, seen)
                .into_iter()
                .map(|Confirmation { trial, params, seed }| (trial, move || (params, seed)));
            first(confirmations, false, seen, &is_lost)
        })
        .unwrap_or(Next::Done)
}

/// Of these trials, each with what it would begin with; none where all have ended.
fn first<B: FnOnce() -> (Params, u64)>(
    trials: impl Iterator<Item = (String, B)>,
    is_search: bool,
    seen: &Seen,
    is_lost: impl Fn(&str, &Trial) -> bool,
) -> Option<Next> {
    let mut others = Vec::new();
    for (trial, begin) in trials {
        let known = seen.trials.get(&trial).cloned().unwrap_or_default();
        let turn = known.claims.len();
        let begun = match known.claims.last() {
            _ if known.end.is_some() => continue,
            None => begin(),
            Some(claim) if is_lost(&trial, &known) => (claim.params.clone(), claim.seed),
            Some(_) => {
                others.push(trial);
                continue;
            }
        };
        return Some(Next::Take(Work { trial, turn, params: begun.0, seed: begun.1, is_search }));
    }
    (!others.is_empty()).then_some(Next::Wait(others))
}

pub(super) fn name(number: usize) -> String {
    format!("{number:04}")
}

fn params(study: &Study, seen: &Seen, number: usize) -> Params {
    let Study { space, written, .. } = study;
    if number == 0 {
        return space.of_recipe(&study.base).unwrap_or_default();
    }
    let history = history(study, seen);
    let is_chance =
        written.sampler == Sampler::Random || number < written.startup || history.ended.is_empty();
    space.at(&if is_chance {
        sampler::random(space, written.seed, number)
    } else {
        sampler::tpe(space, &history, written.seed, number)
    })
}

/// Of the search, what the sampler learns from.
pub(super) fn history(study: &Study, seen: &Seen) -> History {
    let point = |trial: &Trial| study.space.point(trial.params()?);
    let running = searched(study, seen).filter(|(_, trial)| trial.end.is_none());
    History {
        ended: ranked(study, seen).into_iter().filter_map(|(_, trial)| point(trial)).collect(),
        running: running.filter_map(|(_, trial)| point(trial)).collect(),
    }
}

fn searched<'a>(study: &Study, seen: &'a Seen) -> impl Iterator<Item = (usize, &'a Trial)> {
    (0..study.written.trials).filter_map(|number| Some((number, seen.trials.get(&name(number))?)))
}

/// Trials of the search that ended, best first: the longer one was found worth going on with, the better.
pub(super) fn ranked<'a>(study: &Study, seen: &'a Seen) -> Vec<(usize, &'a Trial)> {
    let standing = |trial: &Trial| {
        let end = trial.end.as_ref();
        let how = end.map_or(How::Failed, |end| end.how);
        let order = match how {
            How::Finished => 0,
            How::Stopped => 1,
            How::Failed => 2,
        };
        let epoch = end.map_or(0, |end| end.epoch);
        let cost = end
            .and_then(|end| end.value)
            .map_or(f64::INFINITY, |value| study.written.objective.cost(value));
        (order, std::cmp::Reverse(epoch), cost)
    };
    let mut ended: Vec<_> =
        searched(study, seen).filter(|(_, trial)| trial.end.is_some()).collect();
    ended.sort_by(|(one, a), (other, b)| {
        let (a, b) = (standing(a), standing(b));
        (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then(one.cmp(other))
    });
    ended
}

/// The best of those that were trained to the end.
pub(super) fn best<'a>(study: &Study, seen: &'a Seen) -> Option<(usize, &'a Trial)> {
    let is_finished =
        |trial: &Trial| trial.end.as_ref().is_some_and(|end| end.how == How::Finished);
    ranked(study, seen).into_iter().next().filter(|(_, trial)| is_finished(trial))
}

/// A training that tells whether the best is better.
#[derive(Debug)]
pub(super) struct Confirmation {
    pub(super) trial: String,
    pub(super) params: Params,
    pub(super) seed: u64,
}

/// None where the base recipe itself is the best. In pairs: the base recipe with a seed, then the best with it.
pub(super) fn confirmations(study: &Study, seen: &Seen) -> Vec<Confirmation> {
    let Some((number, best)) = best(study, seen).filter(|(number, _)| *number > 0) else {
        return Vec::new();
    };
    let seeds = (1..=study.written.confirm).map(|turn| study.written.seed.wrapping_add(turn));
    let of = |number: usize, seed: u64, params: Params| Confirmation {
        trial: format!("{}-seed-{seed}", name(number)),
        params,
        seed,
    };
    let base = study.space.of_recipe(&study.base).unwrap_or_default();
    seeds
        .flat_map(|seed| {
            [
                of(0, seed, base.clone()),
                of(number, seed, best.params().cloned().unwrap_or_default()),
            ]
        })
        .collect()
}
