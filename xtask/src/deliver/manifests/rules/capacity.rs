//! Enough pods at every moment: while a release replaces them, and while a node is drained.

use serde_json::{Value, json};

use super::{containers, title};
use crate::rendered::{Object, Objects};

pub(super) fn updates_keep_the_service_up(objects: &Objects, found: &mut Vec<String>) {
    for autoscaler in objects.of("HorizontalPodAutoscaler") {
        let number = |field: &str| autoscaler.at(&format!("/spec/{field}")).as_u64();
        if number("minReplicas").unwrap_or(1) > number("maxReplicas").unwrap_or(u64::MAX) {
            found.push(format!("{}: minReplicas is more than maxReplicas", autoscaler.title()));
        }
    }
    for deployment in objects.of("Deployment") {
        let mut mistake = |text: &str| found.push(format!("{}: {text}", deployment.title()));
        if *deployment.at("/spec/paused") == json!(true) {
            mistake("paused it never takes in a release");
        }
        let Some(pods) = pods(objects, deployment) else {
            mistake("neither `replicas` nor an autoscaler, so it is one pod; say how many");
            continue;
        };
        let gone = deployment.at("/spec/strategy/rollingUpdate/maxUnavailable");
        if *deployment.at("/spec/strategy/type") == "Recreate" || is_all(gone, pods) {
            mistake("an update may take every pod at once");
        }
    }
}

/// How few there may be; those of an autoscaler that is not Kubernetes' own are beyond us.
fn pods(objects: &Objects, deployment: &Object) -> Option<u64> {
    if let Some(replicas) = deployment.at("/spec/replicas").as_u64() {
        return Some(replicas);
    }
    let names = |object: &&Object, field: &str| {
        object.text(&format!("/spec/{field}/name")) == deployment.name()
    };
    // A Rollout takes the Deployment for its template.
    let mut others = objects.all().iter();
    let by =
        others.find(|object| names(object, "scaleTargetRef") || names(object, "workloadRef"))?;
    let fewest = if by.kind() == "HorizontalPodAutoscaler" { Some(1) } else { None };
    Some(by.at("/spec/minReplicas").as_u64().or(fewest).unwrap_or(u64::MAX))
}

fn is_all(value: &Value, pods: u64) -> bool {
    value == "100%" || value.as_u64().is_some_and(|count| count >= pods.max(1))
}

pub(super) fn nodes_can_be_drained(objects: &Objects, found: &mut Vec<String>) {
    let autoscalers = objects.of("HorizontalPodAutoscaler");
    let fewest = autoscalers.filter_map(|one| one.at("/spec/minReplicas").as_u64()).min();
    for budget in objects.of("PodDisruptionBudget") {
        let gone = budget.at("/spec/maxUnavailable");
        let stay = budget.at("/spec/minAvailable");
        if *gone == 0 || gone == "0%" || is_all(stay, fewest.unwrap_or(u64::MAX)) {
            found.push(format!("{}: with it no node can ever be drained", budget.title()));
        }
    }
}

/// Else the API server refuses the pods, one by one.
pub(super) fn limits_hold_what_is_requested(objects: &Objects, found: &mut Vec<String>) {
    for (workload, container) in containers(objects) {
        let resources = &container["resources"];
        for (name, requested) in resources["requests"].as_object().into_iter().flatten() {
            let limit = quantity(&resources["limits"][name]);
            if quantity(requested).zip(limit).is_some_and(|(requested, limit)| requested > limit) {
                found.push(format!(
                    "{}: requests.{name} is more than limits.{name}",
                    title(workload, container)
                ));
            }
        }
    }
}

/// `200m`, `2`, `640Mi` as their number.
fn quantity(value: &Value) -> Option<f64> {
    const UNITS: [(&str, f64); 9] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let Some(text) = value.as_str() else { return value.as_f64() };
    let unit = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
    let (number, size) = unit.unwrap_or((text, &1.0));
    Some(number.parse::<f64>().ok()? * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_its_number() {
        for (text, expected) in [
            ("200m", Some(0.2)),
            ("2", Some(2.0)),
            ("1Ki", Some(1024.0)),
            ("1M", Some(1e6)),
            ("x", None),
        ] {
            assert_eq!(quantity(&json!(text)), expected, "{text}");
        }
        assert_eq!(quantity(&json!(2)), Some(2.0));
    }
}
