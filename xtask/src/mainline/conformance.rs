//! A real repository and the in-memory main decide alike, history by history.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use gitops::decide::decide;
use gitops::mainline::{Push, Update};
use gitops::simulation::memory::Memory;
use gitops::simulation::steps::{history, shrink};
use gitops::simulation::world::{World, beginning, first_files};
use gitops::simulation::{Edit, Sandbox};

use super::sandbox::RealRepository;

/// Set to 1000 for the long run.
const HOW_MANY: &str = "MAINLINE_HISTORIES";
const USUALLY: u64 = 50;
const LONGEST: usize = 20;

#[test]
fn a_real_repository_and_memory_come_to_the_same_decisions() {
    let asked = std::env::var_os(HOW_MANY);
    let asked = asked.map(|number| number.to_str().unwrap().parse::<u64>().unwrap());
    let histories = asked.unwrap_or(USUALLY);
    let next = AtomicU64::new(1);
    let work = || {
        let mut counts = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > histories {
                return counts;
            }
            let steps = history(seed, LONGEST);
            let memory = Memory::new(&first_files(), beginning());
            let expected = World::new(memory, &decide).run(&steps).unwrap();
            let run = |steps: &[_]| {
                World::new(RealRepository::new(&first_files(), beginning()), &decide).run(steps)
            };
            let found = run(&steps).unwrap_or_else(|violation| {
                let shrunk = shrink(&steps, |steps| run(steps).is_err());
                panic!("seed {seed}: {}\nshrunk to {shrunk:#?}", violation.0);
            });
            assert_eq!(found.decisions, expected.decisions, "seed {seed}");
            assert_eq!(found.tries, expected.tries, "seed {seed}");
            // A real repository begins with an empty commit.
            assert_eq!(found.commits, expected.commits + 1, "seed {seed}");
            for (what, count) in found.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    };
    let mut all: BTreeMap<_, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        for worker in workers {
            for (what, count) in worker.join().unwrap() {
                *all.entry(what).or_default() += count;
            }
        }
    });
    println!("{histories} histories on real repositories; {HOW_MANY}=1000 runs more");
    for ((what, guard), count) in all {
        println!("{count:>6}  {what} {}", guard.map_or("", |guard| guard.name()));
    }
}

/// What both must do with the same calls.
fn swaps_and_compares(mut main: impl Sandbox<Error: std::fmt::Debug>) {
    let edit = |text: &str| {
        [Edit { path: "kustomize/base/config.yaml".to_owned(), content: Some(text.to_owned()) }]
    };
    let reference = |name: &str| format!("refs/{name}");
    let old = main.load().unwrap().tip();
    let one = main.commit_by_hand("one", &edit("a: 1\n"));
    let tag = reference(&format!("tags/rollback/staging/{one}"));
    let push = |main: &mut dyn FnMut(&[Update]) -> Push, updates: &[(&str, _)]| {
        let updates: Vec<_> = updates
            .iter()
            .map(|(name, to)| Update { reference: (*name).to_owned(), to: *to })
            .collect();
        main(&updates)
    };
    let mut push = |updates: &[(&str, _)]| push(&mut |u| main.push(u).unwrap(), updates);
    let branch = "refs/heads/main";
    assert_eq!(push(&[(branch, old), (&tag, old)]), Push::Lost, "main does not go back");
    assert_eq!(push(&[(&tag, one)]), Push::Done, "and nothing of that push was done");
    assert_eq!(push(&[(&tag, one)]), Push::Done, "the same again changes nothing");
    assert_eq!(push(&[(&tag, old)]), Push::Lost, "a mark does not move");
    let (_, marks, _) = main.evidence();
    assert!(marks.len() == 1 && marks[0].target == one, "{marks:?}");
}

#[test]
fn both_compare_and_swap_alike() {
    swaps_and_compares(Memory::new(&first_files(), beginning()));
    swaps_and_compares(RealRepository::new(&first_files(), beginning()));
}
