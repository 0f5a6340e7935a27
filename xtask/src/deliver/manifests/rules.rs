//! What a schema cannot know: each rule names a way in which a release, or the rollback of one, would
//! fail only once it is under way.

mod capacity;
mod confinement;
mod network;
mod smoke;

use gitops::image_reference::ImageReference;
use serde_json::{Value, json};

use crate::rendered::{Object, Objects, list, seconds};

pub(super) fn mistakes(objects: &Objects) -> Vec<String> {
    const RULES: [fn(&Objects, &mut Vec<String>); 16] = [
        only_the_autoscaler_counts_replicas,
        images_are_pinned_by_digest,
        selectors_never_change,
        containers_say_what_they_need,
        containers_are_confined,
        references_exist,
        one_restricted_namespace,
        the_service_is_probed,
        the_grace_period_suffices,
        variables_are_said_once,
        capacity::updates_keep_the_service_up,
        capacity::nodes_can_be_drained,
        capacity::limits_hold_what_is_requested,
        confinement::nothing_leaves_its_container,
        smoke::decides,
        network::lets_pass_what_it_must,
    ];
    let mut found = Vec::new();
    for rule in RULES {
        rule(objects, &mut found);
    }
    found
}

fn only_the_autoscaler_counts_replicas(objects: &Objects, found: &mut Vec<String>) {
    for autoscaler in objects.of("HorizontalPodAutoscaler") {
        let (kind, name) = (
            autoscaler.text("/spec/scaleTargetRef/kind"),
            autoscaler.text("/spec/scaleTargetRef/name"),
        );
        match objects.find(kind, name) {
            None => found
                .push(format!("{}: scales {kind}/{name}, which is not here", autoscaler.title())),
            Some(target) if !target.at("/spec/replicas").is_null() => found.push(format!(
                "{}: `replicas` beside an autoscaler undoes its work on every sync; remove it",
                target.title()
            )),
            Some(_) => {}
        }
    }
}

fn images_are_pinned_by_digest(objects: &Objects, found: &mut Vec<String>) {
    for (workload, container) in containers(objects) {
        let image = container["image"].as_str().unwrap_or_default();
        if let Err(error) = image.parse::<ImageReference>() {
            found.push(format!("{}: {error}", title(workload, container)));
        }
    }
}

fn selectors_never_change(objects: &Objects, found: &mut Vec<String>) {
    let released: Vec<&Value> = objects
        .of("ConfigMap")
        .filter(|map| map.name().starts_with("release-info"))
        .filter_map(|map| map.at("/data").as_object())
        .flat_map(serde_json::Map::values)
        .collect();
    for object in objects.all() {
        for pointer in
            ["/spec/selector/matchLabels", "/spec/selector", "/spec/podSelector/matchLabels"]
        {
            let Some(labels) = object.at(pointer).as_object() else { continue };
            for (label, value) in labels {
                let last = label.rsplit('/').next().unwrap_or(label);
                if ["version", "revision", "release"].contains(&last) || released.contains(&value) {
                    found.push(format!(
                        "{}: selects by `{label}`, which changes with a release; selectors cannot",
                        object.title()
                    ));
                }
            }
        }
    }
}

fn containers_say_what_they_need(objects: &Objects, found: &mut Vec<String>) {
    for (workload, container) in containers(objects) {
        for kind in ["requests", "limits"] {
            for resource in ["cpu", "memory"] {
                if container["resources"][kind][resource].is_null() {
                    found.push(format!(
                        "{}: no {kind}.{resource}; without, autoscaling and scheduling guess",
                        title(workload, container)
                    ));
                }
            }
        }
    }
}

/// The `restricted` Pod Security Standard, and a root filesystem that cannot be written.
fn containers_are_confined(objects: &Objects, found: &mut Vec<String>) {
    for workload in objects.workloads() {
        for (pointer, wanted) in [
            ("/spec/template/spec/securityContext/runAsNonRoot", json!(true)),
            ("/spec/template/spec/securityContext/seccompProfile/type", json!("RuntimeDefault")),
            ("/spec/template/spec/automountServiceAccountToken", json!(false)),
        ] {
            if *workload.at(pointer) != wanted {
                let field = pointer.trim_start_matches("/spec/template/spec/").replace('/', ".");
                found.push(format!("{}: {field} must be {wanted}", workload.title()));
            }
        }
        for container in workload.containers() {
            for (field, wanted) in [
                ("/allowPrivilegeEscalation", json!(false)),
                ("/readOnlyRootFilesystem", json!(true)),
                ("/capabilities/drop", json!(["ALL"])),
            ] {
                if container["securityContext"].pointer(field) != Some(&wanted) {
                    let field = field.trim_start_matches('/').replace('/', ".");
                    found.push(format!("{}: {field} must be {wanted}", title(workload, container)));
                }
            }
        }
    }
}

/// kustomize leaves a name that nothing defines as it stands.
fn references_exist(objects: &Objects, found: &mut Vec<String>) {
    for workload in objects.workloads() {
        let variables = workload.containers().flat_map(|container| list(&container["env"]));
        let mut wanted: Vec<(&str, &Value)> = variables
            .map(|variable| ("ConfigMap", &variable["valueFrom"]["configMapKeyRef"]["name"]))
            .collect();
        let volumes = workload.list("/spec/template/spec/volumes").iter();
        wanted.extend(volumes.map(|volume| ("ConfigMap", &volume["configMap"]["name"])));
        wanted.push(("ServiceAccount", workload.at("/spec/template/spec/serviceAccountName")));
        for (kind, name) in wanted {
            if let Some(name) = name.as_str()
                && objects.find(kind, name).is_none()
            {
                found.push(format!("{}: there is no {kind}/{name}", workload.title()));
            }
        }
    }
}

fn one_restricted_namespace(objects: &Objects, found: &mut Vec<String>) {
    let namespaces: Vec<&Object> = objects.of("Namespace").collect();
    let [namespace] = namespaces.as_slice() else {
        found.push(format!("{} namespaces, an environment is exactly one", namespaces.len()));
        return;
    };
    if namespace.at("/metadata/labels")["pod-security.kubernetes.io/enforce"] != "restricted" {
        found.push(format!("{}: Pod Security is not `restricted`", namespace.title()));
    }
    let options = namespace.annotation("argocd.argoproj.io/sync-options").unwrap_or_default();
    if !options.split(',').any(|option| option.trim() == "Prune=false") {
        found.push(format!(
            "{}: without Prune=false it may take everything along",
            namespace.title()
        ));
    }
    for object in objects.all().iter().filter(|object| object.kind() != "Namespace") {
        if object.text("/metadata/namespace") != namespace.name() {
            found.push(format!("{}: outside of namespace {}", object.title(), namespace.name()));
        }
    }
}

fn the_service_is_probed(objects: &Objects, found: &mut Vec<String>) {
    for deployment in objects.of("Deployment") {
        for container in deployment.list("/spec/template/spec/containers") {
            let path = |probe: &str| container[probe]["httpGet"]["path"].as_str();
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                if path(probe).is_none() {
                    found.push(format!("{}: no {probe}", title(deployment, container)));
                }
                let port = &container[probe]["httpGet"]["port"];
                let ports = list(&container["ports"]);
                let known =
                    |entry: &Value| entry["name"] == *port || entry["containerPort"] == *port;
                if !port.is_null() && !ports.iter().any(known) {
                    found.push(format!(
                        "{}: {probe} asks at {port}, which is none of its ports",
                        title(deployment, container)
                    ));
                }
            }
            if path("livenessProbe").is_some() && path("livenessProbe") == path("readinessProbe") {
                found.push(format!(
                    "{}: liveness asks for readiness, so a full queue would restart the service",
                    title(deployment, container)
                ));
            }
        }
    }
}

/// Between SIGTERM and SIGKILL all must fit that happens there, or requests are lost.
fn the_grace_period_suffices(objects: &Objects, found: &mut Vec<String>) {
    const SPARE: u64 = 5;
    for deployment in objects.of("Deployment") {
        let grace = deployment.at("/spec/template/spec/terminationGracePeriodSeconds").as_u64();
        for container in deployment.list("/spec/template/spec/containers") {
            let variable = |name: &str| {
                let found =
                    list(&container["env"]).iter().find(|variable| variable["name"] == name);
                found.and_then(|variable| seconds(variable["value"].as_str()?))
            };
            let sleep =
                container.pointer("/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64);
            let (Some(sleep), Some(pause), Some(limit)) =
                (sleep, variable("DRAIN_PAUSE"), variable("DRAIN_LIMIT"))
            else {
                found.push(format!(
                    "{}: preStop.sleep, DRAIN_PAUSE and DRAIN_LIMIT must all be said, in seconds",
                    title(deployment, container)
                ));
                continue;
            };
            let needed = sleep.saturating_add(pause).saturating_add(limit).saturating_add(SPARE);
            if grace.unwrap_or_default() < needed {
                found.push(format!(
                    "{}: terminationGracePeriodSeconds must be at least {needed}",
                    deployment.title()
                ));
            }
        }
    }
}

/// Of two, the API server takes the last, or refuses both.
fn variables_are_said_once(objects: &Objects, found: &mut Vec<String>) {
    for (workload, container) in containers(objects) {
        let mut names = Vec::new();
        for variable in list(&container["env"]) {
            let name = &variable["name"];
            if names.contains(&name) {
                found.push(format!("{}: {name} is there twice", title(workload, container)));
            }
            names.push(name);
        }
    }
}

fn containers(objects: &Objects) -> impl Iterator<Item = (&Object, &Value)> {
    let workloads = objects.workloads();
    workloads.flat_map(|workload| workload.containers().map(move |container| (workload, container)))
}

fn title(workload: &Object, container: &Value) -> String {
    format!("{}, container {}", workload.title(), container["name"].as_str().unwrap_or_default())
}
