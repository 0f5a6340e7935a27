//! The autoscaler as shipped, under load that its pods feel.

use serde_json::json;

use crate::visitors::Visitors;
use crate::world::{SERVICE, World, get, kubectl, service, tool, turn, until};

#[test]
fn more_pods_come_under_load_and_go_after_it() {
    let _turn = turn();
    let (tool, pin) = (tool(), service());
    let world = World::new("autoscaling", &pin);
    world.apply();
    // As shipped it waits for five minutes before it takes pods away; the rest is as shipped.
    let sooner =
        json!({ "spec": { "behavior": { "scaleDown": { "stabilizationWindowSeconds": 15 } } } });
    let patch = ["patch", "horizontalpodautoscaler/mnist-hpa", "--type", "merge", "--patch"];
    world.kubectl(&[&patch[..], &[&sooner.to_string()]].concat());
    let ready = || {
        let deployment = get(&["deployment/mnist-deployment", "--namespace", &world.namespace]);
        deployment["status"]["readyReplicas"].as_u64().unwrap_or_default()
    };
    assert_eq!(ready(), 2, "{:?}", world.pods(SERVICE));
    let visitors = Visitors::send(&tool, &world.namespace, 5_000, 1_000_000);
    until("there are more than two", 180, || (ready() > 2).then_some(()));
    let seen = visitors.seen();
    drop(visitors);
    let lost: u64 = seen.iter().filter_map(|line| line["lost"].as_u64()).sum();
    assert_eq!(lost, 0, "{seen:?}");
    until("there are two again", 240, || (ready() == 2).then_some(()));
    let autoscaler = ["horizontalpodautoscaler", "--namespace", &world.namespace];
    eprintln!("{}", kubectl(&[&["describe"], &autoscaler[..]].concat()).stdout);
}
