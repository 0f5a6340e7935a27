//! Ten thousand releases are an ordinary history.

use std::fmt::Write;
use std::time::{Duration, Instant};

use contract::digest::Digest;
use gitops::decide::{Action, decide};
use gitops::event::{Event, Observation};
use gitops::mainline::Mainline;
use gitops::pin::Pin;
use gitops::verdict::Verdict;
use jiff::Timestamp;

use super::GitMainline;
use crate::tools::git;

const NAMES: [&str; 2] = ["staging", "production"];
const RELEASES: usize = 10_000;
/// Of `load`, `decide` and reading every pin together. The product's bar is one second on an idle machine;
/// the tests share theirs.
const AT_MOST: Duration = Duration::from_secs(10);

/// Releases and promotions in turn, each verified but the last.
fn stream() -> String {
    let mut stream = String::new();
    let mut commit = |mark: usize, message: &str, files: &[(String, String)]| {
        let at = 1_700_000_000 + mark * 60;
        writeln!(stream, "commit refs/heads/main\nmark :{mark}").unwrap();
        writeln!(stream, "committer M <m@example.org> {at} +0000").unwrap();
        writeln!(stream, "data {}\n{message}", message.len()).unwrap();
        for (path, content) in files {
            writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()).unwrap();
        }
    };
    let pin_file = |name: &str| format!("kustomize/overlays/{name}/release/kustomization.yaml");
    let mut first: Vec<_> =
        NAMES.map(|name| (pin_file(name), Pin::unreleased_yaml())).into_iter().collect();
    let many = (0..200).map(|n| (format!("src/file-{n}.txt"), format!("{n}\n")));
    first.extend(many);
    first.push(("kustomize/base/config.yaml".to_owned(), "a: 1\n".to_owned()));
    commit(1, "begin", &first);
    for mark in 2..RELEASES + 2 {
        let (kind, name) = (["release", "promotion"][mark % 2], NAMES[mark % 2]);
        let version = format!("1.{}.0", mark / 2);
        let digest = Digest::of(version.as_bytes());
        let pin = Pin {
            image: format!("registry.example/o/api:{version}@{digest}").parse().unwrap(),
            app_version: version.parse().unwrap(),
            model_digest: digest,
        };
        let message = format!("{kind}({name}): {version}\n\nChange-Kind: {kind}\n");
        commit(mark, &message, &[(pin_file(name), pin.to_yaml())]);
    }
    stream
}

#[test]
fn ten_thousand_releases_are_loaded_and_decided_on_while_one_waits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let root = git::plumbing(folder.path());
    root.clone().args(["init", "--quiet", "--bare", "-b", "main", "remote"]).bytes().unwrap();
    let remote = git::plumbing(&at("remote"));
    remote.clone().args(["fast-import", "--quiet"]).input(stream()).bytes().unwrap();
    let commits = remote.clone().args(["rev-list", "--first-parent", "main"]).bytes().unwrap();
    let commits = String::from_utf8(commits).unwrap();
    let mut marks = String::new();
    // The newest waits for its verdict, the oldest released nothing.
    for (back, id) in commits.lines().enumerate().take(RELEASES).skip(1) {
        let name = NAMES[(RELEASES + 1 - back) % 2];
        writeln!(marks, "create refs/tags/verified/{name}/{id} {id}").unwrap();
    }
    remote.clone().args(["update-ref", "--stdin"]).input(marks).bytes().unwrap();
    remote.args(["pack-refs", "--all"]).bytes().unwrap();
    root.args(["clone", "--quiet", "remote", "clone"]).bytes().unwrap();

    let mut main = GitMainline::open(&at("clone"), "origin").unwrap();
    let begin = Instant::now();
    main.load().unwrap();
    let first = begin.elapsed();

    let begin = Instant::now();
    let snapshot = main.load().unwrap();
    let loaded = begin.elapsed();
    let environment = snapshot.environments().parse("production").unwrap();
    let event = Event {
        environment: environment.clone(),
        revision: Some(snapshot.tip()),
        observed_at: Timestamp::from_second(1_800_000_000).unwrap(),
        observation: Observation::Failed(Verdict::ModelWrong),
        evidence: Vec::new(),
    };
    let history = snapshot.history(&environment);
    let action = decide(&history, &event);
    let decided = begin.elapsed();
    let pins = history.changes().iter().filter(|c| history.pinned(c).pin().is_some()).count();
    let read = begin.elapsed();

    println!("{RELEASES} releases: first load {first:?}, then after {loaded:?} loaded,");
    println!("after {decided:?} decided, after {read:?} all {pins} pins read");
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert_eq!(pins, RELEASES / 2);
    assert!(read < AT_MOST, "{read:?}");
}
