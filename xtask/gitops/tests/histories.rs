//! Ten thousand random histories, and for each cure one that shows its disease.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test reports what it counted")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use gitops::decide::{Action, Cure, decide, decide_without};
use gitops::event::Event;
use gitops::guards::Guard;
use gitops::history::History;
use gitops::simulation::auditor::Violation;
use gitops::simulation::memory::Memory;
use gitops::simulation::steps::{Step, history, shrink};
use gitops::simulation::world::{Counts, Report, World, beginning, first_files};

const HISTORIES: u64 = 10_000;
const LONGEST: usize = 48;

type Judge = dyn Fn(&History, &Event) -> Action + Sync;

fn run(steps: &[Step], judge: &Judge) -> Result<Report, Violation> {
    World::new(Memory::new(&first_files(), beginning()), &|history, event| judge(history, event))
        .run(steps)
}

/// Seeds from 1 on, over all cores; the first failing seed of each worker.
fn try_all(
    histories: u64,
    run: &(dyn Fn(&[Step]) -> Result<Report, Violation> + Sync),
) -> (Counts, usize, Option<(u64, Violation)>) {
    let next = AtomicU64::new(1);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut counts = Counts::new();
        let mut commits = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > histories {
                return (counts, commits, None);
            }
            match run(&history(seed, LONGEST)) {
                Ok(report) => {
                    commits += report.commits;
                    for (what, count) in report.counts {
                        *counts.entry(what).or_default() += count;
                    }
                }
                Err(violation) => {
                    next.store(histories + 1, Ordering::Relaxed);
                    return (counts, commits, Some((seed, violation)));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut all = (Counts::new(), 0, None);
        for worker in workers {
            let (counts, commits, failed) = worker.join().unwrap();
            for (what, count) in counts {
                *all.0.entry(what).or_default() += count;
            }
            all.1 += commits;
            all.2 = all.2.or(failed);
        }
        all
    })
}

fn explain(seed: u64, violation: &Violation, run: impl Fn(&[Step]) -> Result<Report, Violation>) {
    let steps = shrink(&history(seed, LONGEST), |steps| run(steps).is_err());
    let shortest = run(&steps);
    panic!("seed {seed}: {}\nshrunk to {steps:#?}\nwhich gives {shortest:?}", violation.0);
}

#[test]
fn no_history_harms_and_every_guard_decides_somewhere() {
    let honest = |steps: &[Step]| run(steps, &decide);
    let (counts, commits, failed) = try_all(HISTORIES, &honest);
    if let Some((seed, violation)) = failed {
        explain(seed, &violation, honest);
    }
    println!("{HISTORIES} histories, {commits} commits");
    let mut by_guard: BTreeMap<Option<Guard>, usize> = BTreeMap::new();
    for ((what, guard), count) in &counts {
        println!("{count:>9}  {what} {}", guard.map_or("", Guard::name));
        *by_guard.entry(*guard).or_default() += count;
    }
    for guard in Guard::ALL {
        assert!(by_guard.contains_key(&Some(*guard)), "{guard:?} never decided");
    }
    for action in ["mark-verified", "restore", "open-pull-request", "freeze", "page", "nothing"] {
        assert!(counts.keys().any(|(what, _)| *what == action), "{action} never happened");
    }
}

/// Histories until the harm shows; more than this and the check is worth nothing.
const UNTIL_HARM: u64 = 10_000;

#[track_caller]
fn harms(name: &str, run: &(dyn Fn(&[Step]) -> Result<Report, Violation> + Sync)) {
    let (_, _, failed) = try_all(UNTIL_HARM, run);
    let Some((seed, _)) = failed else { panic!("without {name}, {UNTIL_HARM} histories are well") };
    let steps = shrink(&history(seed, LONGEST), |steps| run(steps).is_err());
    let violation = run(&steps).unwrap_err();
    println!("without {name}: {} (seed {seed}, {} steps)", violation.0, steps.len());
}

#[test]
fn each_cure_switched_off_does_harm() {
    // Some guards only name the reason, because another stands behind them: a rollback supersedes what
    // it undoes (Duplicate), and an unreadable file holds everything (HoldsUnreadable).
    for cure in [
        Cure::Guard(Guard::Superseded),
        Cure::Guard(Guard::NotSmoked),
        Cure::Guard(Guard::Frozen),
        Cure::Guard(Guard::FailedRollback),
        Cure::Guard(Guard::NoVerdict),
        Cure::Guard(Guard::ConfigAlsoChanged),
        Cure::Guard(Guard::TooManyRollbacks),
        Cure::RestoreVerified,
        Cure::RestoreUnheld,
    ] {
        let judge = move |history: &History, event: &Event| decide_without(cure, history, event);
        harms(&format!("{cure:?}"), &|steps| run(steps, &judge));
    }
}

#[test]
fn a_forced_push_does_harm() {
    harms("compare-and-swap", &|steps| {
        let main = Memory::new(&first_files(), beginning()).forced();
        World::new(main, &decide).run(steps)
    });
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let twice = [(); 2].map(|()| run(&history(42, LONGEST), &decide).unwrap());
    assert_eq!(twice[0], twice[1]);
}
