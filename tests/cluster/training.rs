//! The image that trains, in pods: workers of one study, and the `CronJob` that retrains. What they share with this
//! machine – an object store, Git, the task's data – is served by it, by the address that pods know it by.

use std::path::Path;
use std::process::Command;

use e2e::process::{command, run, xtask};
use e2e::served::Served;
use e2e::{data, repo};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fork::Fork;
use crate::world::{World, get, kubectl, repository, service, turn, until};

const STUDY: &str = "
base: quick
space: { schedule.peak: { log: [0.05, 1] } }
trials: 6
startup: 3
confirm: 0
";

/// Where nodes' registry is for pods (KEP-1755).
fn registry_for_pods() -> String {
    let told = get(&["configmap", "local-registry-hosting", "--namespace", "kube-public"]);
    let hosting = told["data"]["localRegistryHosting.v1"].as_str().unwrap();
    let hosting: Value = serde_yaml::from_str(hosting).unwrap();
    hosting["hostFromClusterNetwork"].as_str().unwrap().to_owned()
}

/// The address by which pods know this machine.
fn this_machine() -> String {
    registry_for_pods().split(':').next().unwrap().to_owned()
}

fn image() -> String {
    let repository = format!("{}-trainer", repository());
    let pushed = run(xtask(&repo::home()).args(["image", "trainer", "--push", &repository]));
    pushed.success().stdout.trim().to_owned()
}

/// Of the object store, for pods and for us.
fn credentials(s3: &Served) -> [(&'static str, String); 5] {
    [
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", s3.url()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
    ]
}

/// An object store with one bucket.
fn store(bucket: &str) -> Served {
    let s3 = Served::s3_on(&this_machine(), false);
    let place = format!("{}/{bucket}", s3.url());
    let mut curl = command("curl", &repo::root());
    run(curl.args(["--silent", "--fail", "--request", "PUT", &place])).success();
    s3
}

fn listed(s3: &Served, bucket: &str) -> String {
    let place = format!("{}/{bucket}?list-type=2", s3.url());
    run(command("curl", &repo::root()).args(["--silent", "--fail", &place])).success().stdout
}

impl World {
    /// An empty namespace that takes confined pods only, with one secret.
    fn empty(name: &str, secret: &str, content: &[(&str, String)]) -> Self {
        let world = Self::bare(name);
        let namespace = &world.namespace;
        let confined = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        world.apply_text(
            &json!({ "apiVersion": "v1", "kind": "Namespace",
                "metadata": { "name": namespace, "labels": confined } })
            .to_string(),
        );
        world.secret(secret, content);
        world
    }

    fn secret(&self, name: &str, content: &[(&str, String)]) {
        let literals = content.iter().map(|(key, value)| format!("--from-literal={key}={value}"));
        let literals: Vec<String> = literals.collect();
        let literals = literals.iter().map(String::as_str);
        let create = ["create", "secret", "generic", name];
        self.kubectl(&create.into_iter().chain(literals).collect::<Vec<_>>());
    }

    /// Once it has ended well; what its pods said otherwise.
    #[track_caller]
    fn done(&self, job: &str, seconds: u64) -> Value {
        let job = until(&format!("{job} ends"), seconds, || {
            let job = get(&["job", job, "--namespace", &self.namespace]);
            let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            let ended = ["Complete", "Failed"];
            let mut kinds = conditions.filter_map(|condition| condition["type"].as_str());
            kinds.any(|kind| ended.contains(&kind)).then_some(job)
        });
        let name = job["metadata"]["name"].as_str().unwrap();
        let logs = ["logs", "--selector", &format!("job-name={name}"), "--tail=-1", "--prefix"];
        let is_complete = job["status"]["completionTime"].is_string();
        assert!(is_complete, "{}\n{}", job["status"], self.kubectl(&logs));
        job
    }
}

#[test]
fn pods_of_one_study_share_its_trials_one_is_lost_and_what_is_found_is_told_from_anywhere() {
    let _turn = turn();
    let s3 = store("studies");
    let world = World::empty("study", "study-state", &credentials(&s3));
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("peak.yaml");
    fs_err::write(&study, STUDY).unwrap();
    let tune = |args: &[&str]| {
        let mut tune = xtask(folder.path());
        tune.arg("tune").arg(&study).arg("--task").arg(data::toy());
        tune.args(["--data", "synthetic", "--threads", "1", "--state", "s3://studies/peak"]);
        tune.args(args).envs(credentials(&s3));
        tune
    };
    let rendered = run(&mut tune(&["--render-job", &image(), "--workers", "2"])).success().stdout;
    for document in serde_yaml::Deserializer::from_str(&rendered) {
        let mut object = Value::deserialize(document).unwrap();
        object["metadata"]["namespace"] = json!(world.namespace);
        // A cluster of one machine has fewer cores than its pods would take.
        if object["kind"] == "Job" {
            let pod = &mut object["spec"]["template"]["spec"];
            pod["containers"][0]["resources"]["requests"]["cpu"] = json!("100m");
        }
        world.apply_text(&object.to_string());
    }
    until("a trial is trained", 300, || listed(&s3, "studies").contains("claim-").then_some(()));
    let lost = world.kubectl(&["get", "pods", "--output", "name"]);
    let lost = lost.lines().next().unwrap();
    world.kubectl(&["delete", lost, "--force", "--grace-period=0"]);
    let job = world.done("study-peak", 600);
    assert_eq!(job["status"]["completedIndexes"], "0,1");

    let told = run(&mut tune(&[])).success();
    let best = Path::new(told.stdout.trim());
    let report = fs_err::read_to_string(best.with_file_name("report.md")).unwrap();
    assert!(report.contains("6 trials"), "{report}");
    // The study's own record; nothing is trained again.
    assert_eq!(fs_err::read_dir(folder.path().join("runs")).unwrap().count(), 1);
}

/// The shipped folder with what this cluster needs otherwise: its ports, a quick recipe, and where data is.
fn overlay(folder: &Path, namespace: &str, image: &str, mirror: &Served, ports: &[u16]) {
    repo::copy(&repo::root().join("argocd/retrain"), &folder.join("retrain"));
    let (name, digest) = image.split_once('@').unwrap();
    let name = name.rsplit_once(':').unwrap().0;
    let repository = repository();
    let registry = repository.split('/').next().unwrap();
    let mirrors = format!("{registry}=http://{}", registry_for_pods());
    let add = |path: &str, value: Value| {
        let path = format!("/spec/jobTemplate/spec/template/spec/{path}");
        json!({ "op": "add", "path": path, "value": value })
    };
    let mirror = format!("--mirror={}", mirror.url());
    let mut job = vec![
        add("containers/0/env", json!([{ "name": "XTASK_REGISTRY_MIRRORS", "value": mirrors }])),
        add("containers/0/args/-", json!("--recipe=quick")),
        add("containers/0/args/-", json!("--seed=7")),
        add("containers/0/args/-", json!(mirror)),
    ];
    // Limits are what they are; a machine of two cores has not two to spare.
    for list in ["initContainers", "containers"] {
        job.push(add(&format!("{list}/0/resources/requests/cpu"), json!("100m")));
    }
    let ports: Vec<Value> = ports.iter().map(|port| json!({ "port": port })).collect();
    let egress = json!([{ "op": "add", "path": "/spec/egress/-", "value": { "ports": ports } }]);
    let patch = |kind: &str, operations: &Value| {
        let target = json!({ "kind": kind, "name": "retrain" });
        json!({ "target": target, "patch": operations.to_string() })
    };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": ["retrain"],
        "images": [{ "name": "mnist-api-trainer", "newName": name, "digest": digest }],
        "patches": [patch("CronJob", &json!(job)), patch("NetworkPolicy", &egress)],
    });
    fs_err::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn the_cron_job_retrains_in_a_pod_and_its_branch_has_the_artifact() {
    let _turn = turn();
    let fork = Fork::of(service());
    let s3 = store("data");
    let settings = format!(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://data\n    endpointurl = {}\n",
        s3.url()
    );
    fork.scratch.commit("keep data in an object store", ".dvc/config", &settings);
    let git = Served::git_on(&this_machine(), &fork.scratch.path(""));
    let mirror = Served::files_on(&this_machine(), &data::folder(&data::task()));
    let remote = format!("{}/remote", git.url().replace("http://", "git://"));
    let world = World::empty("retrain", "retrain", &[("remote", remote)]);
    world.secret("retrain-data", &credentials(&s3));
    let folder = tempfile::tempdir().unwrap();
    let ports = [git.port, mirror.port, s3.port, port(&registry_for_pods())];
    overlay(folder.path(), &world.namespace, &image(), &mirror, &ports);
    let folder = folder.path().display().to_string();
    kubectl(&["apply", "--server-side", "--kustomize", &folder]).success();
    world.kubectl(&["create", "job", "--from=cronjob/retrain", "now"]);
    world.done("now", 600);
    let said = world.kubectl(&["logs", "job/now", "--container", "retrain"]);
    assert!(said.contains("pushed as retrain/staging/"), "{said}");

    let [branch] = &fork.branches()[..] else { panic!("{:?}", fork.branches()) };
    fork.scratch.add_clone("releaser");
    fork.scratch.git("releaser", &["switch", "--quiet", branch]);
    let mut pull: Command = command(repo::release_binary("mlops"), &fork.scratch.path("releaser"));
    run(pull.args(["data", "pull"]).envs(credentials(&s3))).success();
    let version = branch.rsplit('/').next().unwrap();
    let name = format!("artifacts/{}-{version}", data::task().data.name);
    assert!(fork.scratch.path("releaser").join(name).join("manifest.json").is_file());
    // A second one finds it.
    world.kubectl(&["create", "job", "--from=cronjob/retrain", "again"]);
    world.done("again", 600);
    let said = world.kubectl(&["logs", "job/again", "--container", "retrain"]);
    assert!(said.contains("is there"), "{said}");
}
