//! What a pod may not ask for. The namespace refuses most of it, but only once a release is under way, and
//! with a message that nobody reads.

use serde_json::{Value, json};

use super::{containers, title};
use crate::rendered::Objects;

pub(super) fn nothing_leaves_its_container(objects: &Objects, found: &mut Vec<String>) {
    for workload in objects.workloads() {
        let mut mistake = |text: String| found.push(format!("{}: {text}", workload.title()));
        let pod = workload.at("/spec/template/spec");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            if pod[field] == json!(true) {
                mistake(format!("{field} leads out of the pod"));
            }
        }
        if pod["securityContext"]["runAsUser"] == 0 {
            mistake("runAsUser must not be 0".to_owned());
        }
        for volume in workload.list("/spec/template/spec/volumes") {
            if !volume["hostPath"].is_null() {
                mistake(format!("volume {} is a folder of the node", volume["name"]));
            }
        }
    }
    for (workload, container) in containers(objects) {
        let context = &container["securityContext"];
        let adds = context["capabilities"]["add"].as_array().is_some_and(|list| !list.is_empty());
        let refused = |value: &Value, kept: &Value| !value.is_null() && value != kept;
        for (is_so, text) in [
            (adds, "capabilities.add must be empty"),
            (context["privileged"] == json!(true), "privileged leads out of the container"),
            (context["runAsUser"] == 0, "runAsUser must not be 0"),
            (refused(&context["runAsNonRoot"], &json!(true)), "runAsNonRoot must stay true"),
            (
                refused(&context["seccompProfile"]["type"], &json!("RuntimeDefault")),
                "seccompProfile.type must stay \"RuntimeDefault\"",
            ),
        ] {
            if is_so {
                found.push(format!("{}: {text}", title(workload, container)));
            }
        }
    }
}
