//! Commands that set up Argo CD and look at a cluster.

use e2e::process::{run, xtask};
use e2e::repo;

use crate::world::{get, turn};

#[test]
fn argo_cd_gets_our_settings_and_a_cluster_is_looked_at() {
    let _turn = turn();
    let cluster = |args: &[&str]| run(xtask(&repo::home()).arg("cluster").args(args));
    cluster(&["bootstrap", "--take-over", "--dry-run"]).success();
    cluster(&["bootstrap", "--take-over"]).success();
    let settings = get(&["configmap", "argocd-cm", "--namespace", "argocd"]);
    let health = "resource.customizations.health.autoscaling_HorizontalPodAutoscaler";
    assert!(settings["data"][health].as_str().unwrap().contains("no metrics yet"));
    // Nothing of it is deployed here, and that is what is told.
    let remote = repo::root().display().to_string();
    let status = cluster(&["status", "--remote", &remote]).success().stdout;
    assert!(status.contains("staging\n  Git      "), "{status}");
    assert!(status.contains("Argo CD  no Application "), "{status}");
    let smoke = cluster(&["smoke", "staging", "--remote", &remote]);
    assert_eq!(smoke.code, Some(1));
    assert!(smoke.stderr.contains("hint: kubectl apply -f argocd/root.yaml"), "{}", smoke.stderr);
}
