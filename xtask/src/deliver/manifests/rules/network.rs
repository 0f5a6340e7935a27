//! Network policies, played through: nothing passes by default, the service can be reached, and so can
//! all that the smoke test needs. A policy too few there would make every release undecided.

use serde_json::{Value, json};

use crate::rendered::{Object, Objects, list, selects, smoke, texts};

pub(super) fn lets_pass_what_it_must(objects: &Objects, found: &mut Vec<String>) {
    if !objects.of("NetworkPolicy").any(is_default_deny) {
        found.push("there is no NetworkPolicy that denies everything by default".to_owned());
    }
    for policy in objects.of("NetworkPolicy") {
        for (rules, peers) in [("/spec/ingress", "from"), ("/spec/egress", "to")] {
            let all =
                |rule: &Value| list(&rule["ports"]).is_empty() && list(&rule[peers]).is_empty();
            if policy.list(rules).iter().any(all) {
                found.push(format!("{}: a rule without ports and peers opens all", policy.title()));
            }
        }
    }
    let Some(job) = smoke::job(objects) else { return };
    let Some((service, port)) = smoke::target(objects, job) else { return };
    let mut demand =
        |direction, pod: &Object, peer: Peer<'_>, protocol: &str, port: u64, what: &str| {
            if !allows(objects, direction, pod, &peer, protocol, port) {
                found.push(format!(
                    "{}: no NetworkPolicy opens {what} ({protocol} {port})",
                    pod.title()
                ));
            }
        };
    let from_anywhere = "its port to anyone, as load balancers need";
    demand(Direction::Ingress, service, Peer::Anyone, "TCP", port, from_anywhere);
    let to_service = "the way to the service";
    demand(Direction::Egress, job, Peer::Pod(service), "TCP", port, to_service);
    for protocol in ["UDP", "TCP"] {
        let to_dns = "the way to name resolution";
        demand(Direction::Egress, job, Peer::Namespace("kube-system"), protocol, 53, to_dns);
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

enum Peer<'a> {
    Anyone,
    Pod(&'a Object),
    Namespace(&'a str),
}

fn is_default_deny(policy: &Object) -> bool {
    let types = texts(policy.at("/spec/policyTypes"));
    *policy.at("/spec/podSelector") == json!({})
        && types.contains(&"Ingress")
        && types.contains(&"Egress")
        && policy.list("/spec/ingress").is_empty()
        && policy.list("/spec/egress").is_empty()
}

fn allows(
    objects: &Objects,
    direction: Direction,
    pod: &Object,
    peer: &Peer<'_>,
    protocol: &str,
    port: u64,
) -> bool {
    let (rules, peers) = match direction {
        Direction::Ingress => ("/spec/ingress", "from"),
        Direction::Egress => ("/spec/egress", "to"),
    };
    objects
        .of("NetworkPolicy")
        .filter(|policy| selects(policy.at("/spec/podSelector"), pod.pod_labels()))
        .flat_map(|policy| policy.list(rules))
        .any(|rule| opens_port(&rule["ports"], protocol, port) && covers(&rule[peers], peer))
}

/// No ports are all ports.
fn opens_port(ports: &Value, protocol: &str, port: u64) -> bool {
    let same = |entry: &Value| {
        entry["protocol"].as_str().unwrap_or("TCP") == protocol && entry["port"] == port
    };
    list(ports).is_empty() || list(ports).iter().any(same)
}

/// No peers are all peers.
fn covers(peers: &Value, peer: &Peer<'_>) -> bool {
    let peers = list(peers);
    peers.is_empty()
        || peers.iter().any(|entry| match peer {
            Peer::Anyone => false,
            Peer::Pod(pod) => {
                entry["namespaceSelector"].is_null()
                    && selects(&entry["podSelector"], pod.pod_labels())
            }
            Peer::Namespace(name) => {
                let labels = json!({ "kubernetes.io/metadata.name": name });
                entry["podSelector"].is_null() && selects(&entry["namespaceSelector"], &labels)
            }
        })
}
