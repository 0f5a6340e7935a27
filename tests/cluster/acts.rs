//! The demo on a cluster: a release goes live under load, bad ones are taken back in Git, a fix is left alone.

use e2e::process::run;
use e2e::{process::xtask, repo};

use crate::world::{kubectl, repository, turn};

#[test]
fn the_acts_end_as_told_on_a_real_cluster_and_leave_nothing_behind() {
    let _turn = turn();
    let mut demo = xtask(&repo::home());
    let played = run(demo.args(["demo", "--cluster", "--image", &repository()]));
    eprintln!("{}", played.stdout);
    let transcript = played.success().stdout;
    let (_, end) = transcript.split_once("What main says now").unwrap();
    let of = |what: &str| end.lines().filter(|line| line.contains(what)).count();
    assert_eq!(of("rollback(staging)"), 2, "{transcript}");
    assert_eq!(of("promote(production)"), 2, "{transcript}");
    for told in ["Verdict: rollout-failed", "Verdict: model-wrong", "quarantined"] {
        assert!(transcript.contains(told), "`{told}` is missing in:\n{transcript}");
    }
    let made = ["get", "namespaces,applications.argoproj.io,appprojects.argoproj.io", "-A"];
    let left = kubectl(&made).success().stdout;
    assert!(!left.contains("demo-"), "{left}");
    let keys = ["get", "configmap/argocd-notifications-cm", "secret/argocd-notifications-secret"];
    let keys = kubectl(&[&keys[..], &["--namespace", "argocd", "--output", "json"]].concat());
    assert!(!keys.success().stdout.contains("demo-"), "keys of the demo are left");
}
