//! Clients in the cluster, one to an environment.

use serde_json::json;

use super::Company;
use crate::operate::visitor::Seen;
use crate::tools::kubectl::Conflicts;

const VISITOR: &str = include_str!("visitor.yaml");

impl Company {
    /// Sends a client to an environment, for as long as the demo lasts.
    pub(in super::super) fn send_visitor(
        &self,
        environment: &str,
        service: &str,
        probes: &str,
        rate: u32,
    ) -> anyhow::Result<()> {
        let probes = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "probes", "namespace": self.name },
            "data": { "probes.json": probes },
        });
        self.kubectl.apply(&probes.to_string(), Conflicts::Refuse)?;
        let visitor = VISITOR
            .replace("ENVIRONMENT", environment)
            .replace("SERVICE", service)
            .replace("RATE", &rate.to_string());
        self.apply(&visitor)
    }

    /// What it saw, a line of JSON per second.
    pub(in super::super) fn visited(&self, environment: &str) -> anyhow::Result<Vec<Seen>> {
        let pod = format!("visitor-{environment}");
        let told = self.kubectl.run(&["logs", "--namespace", &self.name, &pod])?;
        // Its stderr, which is not JSON, comes along; a line that is being written is read the next time.
        Ok(told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}
