//! [`Visitors`]: clients in a namespace of their own, and what they saw.

use e2e::repo;
use serde_json::{Value, json};

use crate::world::{World, kubectl, until};

/// Clients in another namespace, half of them with connections that are kept.
pub(crate) struct Visitors {
    world: World,
}

impl Visitors {
    /// Until so many requests were made, so many per second at most.
    pub(crate) fn send(tool: &str, to: &str, rate: u32, requests: u64) -> Self {
        let world = World::bare("visitors");
        world.apply_text(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {} }}\n",
            world.namespace
        ));
        let probes = repo::root().join("kustomize/base/smoke/probes.json");
        let probes = fs_err::read_to_string(probes).unwrap();
        let probes = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": world.probes(), "namespace": world.namespace },
            "data": { "probes.json": probes },
        });
        world.apply_text(&probes.to_string());
        let url = format!("http://mnist-service.{to}");
        let (rate, requests) = (rate.to_string(), requests.to_string());
        let rate = ["--clients", "8", "--rate", &rate, "--requests", &requests];
        let command = [
            &["/usr/local/bin/xtask", "visit", &url, "--probes", "/probes/probes.json"][..],
            &rate[..],
        ];
        world.pod("visitors", tool, &json!({}), &command.concat());
        let visitors = Self { world };
        until("visitors are answered", 60, || (!visitors.seen().is_empty()).then_some(()));
        visitors
    }

    pub(crate) fn have_ended(&self) -> bool {
        let pods =
            self.world.kubectl(&["get", "pod", "visitors", "--output", "jsonpath={.status.phase}"]);
        pods == "Succeeded" || pods == "Failed"
    }

    /// A line per second.
    pub(crate) fn seen(&self) -> Vec<Value> {
        let log = kubectl(&["logs", "visitors", "--namespace", &self.world.namespace]);
        log.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
