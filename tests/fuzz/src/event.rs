//! Reports of a deployment, as Argo CD's notifications bring them through a workflow or the receiver.

use std::collections::HashMap;

use gitops::environment::{Environments, Part};
use gitops::event::Event;
use serde_json::json;

use crate::{TEXT, Target};

pub const EVENT: Target = Target { name: "event", seeds, run: read_event, memory: TEXT };

fn read_event(input: &[u8]) {
    let known: Environments = ["production", "staging"]
        .into_iter()
        .filter_map(|name| {
            match Part::of(&format!("kustomize/overlays/{name}/release/kustomization.yaml")) {
                Part::Pin(environment) => Some(environment),
                _ => None,
            }
        })
        .collect();
    let event = match Event::parse(input, &known) {
        Ok(event) => event,
        // What is refused is told in the log of a workflow, which reads commands out of its lines.
        Err(error) => {
            let told = error.to_string();
            return assert!(told.len() < 2048 && !told.contains(char::is_control), "{told:?}");
        }
    };
    assert!(known.contains(&event.environment));
    assert!(event.evidence.len() <= 12, "{} lines", event.evidence.len());
    // Evidence becomes trailers of a commit.
    for line in event.evidence.iter().chain([&event.to_string()]) {
        assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
    }
    let again = Event::parse(event.to_json().as_bytes(), &known).expect("what is written is read");
    let told = |event: &Event| {
        (event.environment.clone(), event.revision, event.observed_at, event.observation)
    };
    assert_eq!(told(&again), told(&event));
}

fn seeds() -> Vec<Vec<u8>> {
    let revision = "64d118abcc5f21fe94ba5bf558332010865242a4";
    let at = "2026-11-23T18:12:13Z";
    let common =
        json!({ "schema": 1, "app": "production", "env": "production", "revision": revision });
    let with = |kind: &str, more: serde_json::Value| {
        let mut payload: HashMap<String, serde_json::Value> =
            serde_json::from_value(common.clone()).expect("an object");
        payload.extend(more.as_object().cloned().unwrap_or_default());
        json!({ "event_type": kind, "client_payload": payload }).to_string().into_bytes()
    };
    let job = "Container smoke for pod p failed with exit code 42 matching FailJob rule at index 0";
    let failed = json!([{ "kind": "Job", "name": "smoke", "message": job }]);
    vec![
        with(
            "argocd-release-failed",
            json!({ "phase": "Failed", "started_at": at, "finished_at": at, "retries": 1,
                    "message": "one or more tasks failed\nsee below", "failed": failed,
                    "waiting": ["Service/a"] }),
        ),
        with("argocd-release-deployed", json!({ "phase": "Succeeded", "finished_at": at })),
        with(
            "argocd-release-unrenderable",
            json!({ "revision": "main", "observed_at": at, "messages": ["invalid Kustomization"] }),
        ),
        with(
            "release-timed-out",
            json!({ "observed_at": at, "probe": 43, "messages": ["no answer"] }),
        ),
    ]
}
