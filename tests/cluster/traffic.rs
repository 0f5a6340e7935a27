//! No request is lost, whatever moves pods: an update, a smaller number of them, an eviction.

use serde_json::{Value, json};

use crate::visitors::Visitors;
use crate::world::{DEPLOYMENT, SERVICE, World, kubectl, service, tool, turn, until};

/// So many answers must come, each with the right label.
const REQUESTS: u64 = 50_000;

#[test]
fn no_request_is_lost_in_updates_scale_downs_and_evictions() {
    let _turn = turn();
    let (tool, pin) = (tool(), service());
    let world = World::new("traffic", &pin);
    world.apply();
    // The test decides how many there are.
    world.kubectl(&["delete", "horizontalpodautoscaler", "--all"]);

    let visitors = Visitors::send(&tool, &world.namespace, 400, REQUESTS);
    let mut rounds = 0;
    while !visitors.have_ended() {
        world.kubectl(&["rollout", "restart", DEPLOYMENT]);
        rolled_out(&world);
        world.kubectl(&["scale", DEPLOYMENT, "--replicas", "4"]);
        rolled_out(&world);
        world.kubectl(&["scale", DEPLOYMENT, "--replicas", "2"]);
        until("there are two pods", 90, || (world.pods(SERVICE).len() == 2).then_some(()));
        let [one, other] = [0, 1].map(|index| name(&world.pods(SERVICE)[index]));
        assert_eq!(evict(&world, &one), Ok(()));
        let refused = evict(&world, &other).unwrap_err();
        assert!(refused.contains("disruption budget"), "{refused}");
        rolled_out(&world);
        rounds += 1;
    }
    assert!(rounds > 0, "nothing moved under load");
    let seen = visitors.seen();
    let sum = |field: &str| seen.iter().filter_map(|line| line[field].as_u64()).sum::<u64>();
    let answers = seen.iter().filter_map(|line| line["answers"].as_object());
    let answers: u64 = answers.flat_map(|by| by.values()).filter_map(Value::as_u64).sum();
    eprintln!("{answers} answers while pods were moved {rounds} times three ways");
    let losses: Vec<&Value> = seen.iter().filter(|line| line["lost"] != 0).collect();
    assert_eq!((sum("lost"), sum("wrong")), (0, 0), "{losses:?}");
    assert!(answers >= REQUESTS, "{answers} answers");
}

fn rolled_out(world: &World) {
    world.kubectl(&["rollout", "status", DEPLOYMENT, "--timeout", "180s"]);
}

fn name(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().unwrap().to_owned()
}

/// As draining a node does it; refused where the budget allows no more.
fn evict(world: &World, pod: &str) -> Result<(), String> {
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod, "namespace": world.namespace },
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), eviction.to_string()).unwrap();
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", world.namespace);
    let file = file.path().display().to_string();
    let ended = kubectl(&["create", "--raw", &path, "--filename", &file]);
    if ended.code == Some(0) { Ok(()) } else { Err(ended.stderr) }
}
