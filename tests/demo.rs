//! The whole loop as a first-time user sees it: `cargo xtask demo`, with real models, real processes,
//! real Git and real kustomize.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::leftovers::{nothing_is_left, processes_of};
use e2e::process::{command, run};
use e2e::repo;

#[test]
fn the_demo_takes_back_what_is_bad_and_nothing_else_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = command(repo::xtask(), &repo::root());
    let transcript = run(demo.arg("demo").env("TMPDIR", folder.path())).success().stdout;
    let (_, end) = transcript.split_once("What main says now").unwrap();
    let titles: Vec<_> = end
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.split_once(": ").map(|(what, _)| what))
        .filter(|what| what.ends_with(')') && !what.contains(' '))
        .collect();
    let expected = [
        "release(staging)",
        "release(staging)",
        "rollback(staging)",
        "release(staging)",
        "rollback(staging)",
        "release(staging)",
        "promote(production)",
        "release(staging)",
    ];
    assert_eq!(titles[..expected.len()], expected, "{transcript}");
    for told in [
        "This reverts commit",
        "Verdict: rollout-failed",
        "Verdict: model-wrong",
        "is quarantined.",
        "this was already dealt with",
        "a newer change of this environment has taken over",
    ] {
        assert!(transcript.contains(told), "`{told}` is missing in:\n{transcript}");
    }
    nothing_is_left(folder.path());
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = command(repo::xtask(), &repo::root());
    demo.arg("demo").env("TMPDIR", folder.path());
    let mut demo = demo.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(3);
    let serves = || processes_of(folder.path()).iter().any(|command| command.contains("mnist-api"));
    while !serves() {
        assert!(Instant::now() < deadline && demo.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    run(command("kill", &repo::root()).args(["-INT", &demo.id().to_string()])).success();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    nothing_is_left(folder.path());
}
