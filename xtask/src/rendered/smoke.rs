//! The smoke test as rendered: which Job it is, what it asks, and what is mounted for it.

use serde_json::{Value, json};

use super::{Object, Objects, list, selects, texts};

/// The only Job that runs after a sync.
pub(crate) fn job(objects: &Objects) -> Option<&Object> {
    let hook = "argocd.argoproj.io/hook";
    let mut jobs = objects.of("Job").filter(|job| job.annotation(hook) == Some("PostSync"));
    let job = jobs.next();
    if jobs.next().is_some() { None } else { job }
}

const HTTP: &str = "http://";

/// What the test asks.
pub(crate) fn url(job: &Object) -> Option<&str> {
    let container = job.list("/spec/template/spec/containers").first()?;
    texts(&container["args"]).into_iter().find(|arg| arg.starts_with(HTTP))
}

/// The workload behind the Service that the test is pointed at, and the port of its pods.
pub(crate) fn target<'a>(objects: &'a Objects, job: &Object) -> Option<(&'a Object, u64)> {
    let url = url(job)?.strip_prefix(HTTP)?;
    let (host, port) = url.split_once(':').unwrap_or((url, "80"));
    let port: u64 = port.parse().ok()?;
    let service = objects.find("Service", host)?;
    let target =
        &service.list("/spec/ports").iter().find(|entry| entry["port"] == port)?["targetPort"];
    let selector = json!({ "matchLabels": service.at("/spec/selector") });
    let workload =
        objects.workloads().find(|workload| selects(&selector, workload.pod_labels()))?;
    let port = match target {
        Value::Number(number) => number.as_u64()?,
        name => workload
            .containers()
            .flat_map(|container| list(&container["ports"]))
            .find(|port| port["name"] == *name)?["containerPort"]
            .as_u64()?,
    };
    Some((workload, port))
}

/// Content of a file that a `ConfigMap` puts into the container.
pub(crate) fn mounted<'a>(
    objects: &'a Objects,
    job: &Object,
    container: &Value,
    path: &str,
) -> Option<&'a str> {
    let (folder, file) = path.rsplit_once('/')?;
    let mount =
        list(&container["volumeMounts"]).iter().find(|mount| mount["mountPath"] == folder)?;
    let volumes = job.list("/spec/template/spec/volumes");
    let volume = volumes.iter().find(|volume| volume["name"] == mount["name"])?;
    let map = objects.find("ConfigMap", volume["configMap"]["name"].as_str()?)?;
    map.at("/data")[file].as_str()
}
