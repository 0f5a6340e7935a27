//! The contract of the smoke test: it runs after every sync, its exit code reaches whoever handles a
//! failed one, and it compares what answers with what the pin promises.

use contract::probes::Probes;
use serde_json::{Value, json};

use crate::rendered::smoke::{job, mounted, target};
use crate::rendered::{Object, Objects, list, seconds, texts};

/// Those of `smoke` in the image's program; it ends at once over any other, and nothing is decided.
const FLAGS: [&str; 6] = [
    "--probes",
    "--expect-app-version",
    "--expect-model-digest",
    "--api-key-file",
    "--deadline",
    "--consecutive",
];
/// What `--deadline` is when nobody says it, in seconds.
const DEADLINE: u64 = 120;

pub(super) fn decides(objects: &Objects, found: &mut Vec<String>) {
    let Some(job) = job(objects) else {
        found.push("there must be exactly one Job that Argo CD runs as PostSync hook".to_owned());
        return;
    };
    let mut mistake = |text: String| found.push(format!("{}: {text}", job.title()));
    if job.annotation("argocd.argoproj.io/hook-delete-policy") != Some("BeforeHookCreation") {
        mistake("hook-delete-policy must be BeforeHookCreation, or its logs are lost".to_owned());
    }
    for (pointer, wanted) in [
        ("/spec/podFailurePolicy/rules/0/action", json!("FailJob")),
        ("/spec/podFailurePolicy/rules/0/onExitCodes/operator", json!("In")),
        ("/spec/podFailurePolicy/rules/0/onExitCodes/values", json!([42, 43])),
        ("/spec/podFailurePolicy/rules/1/action", json!("Ignore")),
        ("/spec/podFailurePolicy/rules/1/onPodConditions/0/type", json!("DisruptionTarget")),
        ("/spec/template/spec/restartPolicy", json!("Never")),
        ("/spec/ttlSecondsAfterFinished", Value::Null),
    ] {
        if *job.at(pointer) != wanted {
            let field = pointer.trim_start_matches("/spec/").replace('/', ".");
            mistake(format!("{field} must be {wanted}, or its exit code is lost"));
        }
    }
    if *job.at("/spec/suspend") == json!(true) {
        mistake("suspended it never ends, and neither does a sync".to_owned());
    }
    for field in ["parallelism", "completions"] {
        let number = job.at(&format!("/spec/{field}"));
        if !number.is_null() && *number != 1 {
            mistake(format!("{field} must be 1: one test, one verdict"));
        }
    }
    let time = job.at("/spec/activeDeadlineSeconds");
    if time.is_null() {
        mistake("without activeDeadlineSeconds a stuck test holds up every sync".to_owned());
    }
    let [container] = job.list("/spec/template/spec/containers") else {
        return mistake("it must have exactly one container".to_owned());
    };
    if *job.at("/spec/podFailurePolicy/rules/0/onExitCodes/containerName") != container["name"] {
        mistake(
            "podFailurePolicy.rules.0.onExitCodes.containerName is not its container".to_owned(),
        );
    }
    command(objects, job, container, &mut mistake);
    let deadline = argument(container, "--deadline").map_or(Some(DEADLINE), seconds);
    if time.as_u64().zip(deadline).is_some_and(|(time, deadline)| time <= deadline) {
        mistake(
            "activeDeadlineSeconds must be more than --deadline, or no test decides".to_owned(),
        );
    }
    match target(objects, job) {
        None => mistake("its URL leads to no Service with pods here".to_owned()),
        Some((workload, _port)) => same_image(workload, container, &mut mistake),
    }
}

fn argument<'a>(container: &'a Value, flag: &str) -> Option<&'a str> {
    let args = texts(&container["args"]);
    let position = args.iter().position(|arg| *arg == flag)?;
    args.get(position + 1).copied()
}

fn command(objects: &Objects, job: &Object, container: &Value, mistake: &mut impl FnMut(String)) {
    let args = texts(&container["args"]);
    let value = |flag: &str| argument(container, flag);
    for flag in args.iter().filter(|arg| arg.starts_with('-')) {
        if !FLAGS.contains(&flag.split('=').next().unwrap_or(flag)) {
            mistake(format!("`{flag}` is no argument of `smoke`"));
        }
    }
    if args.first() != Some(&"smoke") || !container["command"].is_null() {
        mistake("its first argument must be `smoke`, of the image's own program".to_owned());
    }
    for (flag, key) in
        [("--expect-app-version", "APP_VERSION"), ("--expect-model-digest", "MODEL_DIGEST")]
    {
        // A variable that is not defined would stay `$(…)`: a version that no service has.
        let defined = list(&container["env"]).iter().any(|variable| {
            let source = &variable["valueFrom"]["configMapKeyRef"];
            let map = source["name"].as_str().unwrap_or_default();
            variable["name"] == key
                && source["key"] == key
                && map.starts_with("release-info")
                && objects
                    .find("ConfigMap", map)
                    .is_some_and(|map| map.at("/data")[key].is_string())
        });
        if value(flag) != Some(format!("$({key})").as_str()) || !defined {
            mistake(format!("{flag} must be $({key}), from the ConfigMap release-info"));
        }
    }
    match value("--probes").map(|path| mounted(objects, job, container, path)) {
        None => mistake("no --probes: nothing would test the model".to_owned()),
        Some(None) => mistake("--probes names no file of a mounted ConfigMap".to_owned()),
        Some(Some(probes)) => {
            if let Err(error) = Probes::from_json(probes.as_bytes()) {
                mistake(error.to_string());
            }
        }
    }
}

fn same_image(workload: &Object, container: &Value, mistake: &mut impl FnMut(String)) {
    let mut containers = workload.containers();
    if !containers.any(|other| other["image"] == container["image"]) {
        mistake(format!("it tests with another image than {} runs", workload.title()));
    }
    for container in workload.containers() {
        if list(&container["env"]).iter().any(|variable| variable["name"] == "APP_VERSION") {
            mistake(format!(
                "{} sets APP_VERSION, so the test would compare the pin with itself",
                workload.title()
            ));
        }
    }
}
