//! The demo on a cluster: a release goes live under load, bad ones are taken back in Git, a fix is left alone.

use std::collections::{BTreeMap, BTreeSet};

use e2e::process::{run, xtask};
use e2e::repo;

use crate::world::{get, kubectl, repository, turn};

#[test]
fn the_acts_end_as_told_on_a_real_cluster_and_leave_nothing_behind() {
    let _turn = turn();
    let before = made();
    let mut demo = xtask(&repo::home());
    let played = run(demo.args(["demo", "--cluster", "--image", &repository()]));
    eprintln!("{}", played.stdout);
    let transcript = played.success().stdout;
    assert_eq!(made(), before, "something is left");
    let (_, end) = transcript.split_once("What main says now").unwrap();
    let of = |what: &str| end.lines().filter(|line| line.contains(what)).count();
    assert_eq!(of("rollback(staging)"), 2, "{transcript}");
    assert_eq!(of("promote(production)"), 2, "{transcript}");
    for told in ["Verdict: rollout-failed", "Verdict: model-wrong", "quarantined"] {
        assert!(transcript.contains(told), "`{told}` is missing in:\n{transcript}");
    }
}

/// Those of `lab.yaml` kill the cluster's own processes on this machine: they are played by hand, as `docs/loop.md`
/// says, and not among tests that need what they kill.
#[test]
fn whatever_breaks_main_and_cluster_come_to_rest_as_they_should() {
    let _turn = turn();
    let before = made();
    let mut demo = xtask(&repo::home());
    let args = ["--image", &repository(), "--faults", "tests/cluster/faults.yaml"];
    let played = run(demo.args(["demo", "--cluster"]).args(args));
    eprintln!("{}", played.stdout);
    played.success();
    assert_eq!(made(), before, "something is left");
}

/// What demos make, by name. One that was killed may have left its own, which is not this one's to answer for.
fn made() -> BTreeSet<String> {
    let names = [
        "get",
        "namespaces,applications.argoproj.io,appprojects.argoproj.io",
        "-A",
        "--output",
        "name",
    ];
    let objects = kubectl(&names).success().stdout;
    let objects = objects.lines().map(str::to_owned);
    let kinds = ["configmap/argocd-notifications-cm", "secret/argocd-notifications-secret"];
    let keys = kinds.into_iter().flat_map(|object| {
        let data = get(&[object, "--namespace", "argocd"])["data"].take();
        let data: BTreeMap<String, String> = serde_json::from_value(data).unwrap_or_default();
        data.into_keys().map(move |key| format!("{object}: {key}"))
    });
    objects.chain(keys).filter(|name| name.contains("demo-")).collect()
}
