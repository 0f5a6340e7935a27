//! The Job by which many machines work at one study. `tests/cluster/training.rs` has one run it.

use contract::digest::Digest;
use e2e::process::{Ended, run, xtask};
use serde::Deserialize;
use serde_json::{Value, json};

fn rendered(args: &[&str]) -> Ended {
    let home = tempfile::tempdir().unwrap();
    let image = format!("ghcr.io/o/tuner:1.4.0@{}", Digest::of(b"image"));
    run(xtask(home.path()).args(["tune", "--render-job", &image]).args(args))
}

#[test]
fn the_job_fits_its_schema_confines_its_pods_and_gives_each_the_study_and_the_state() {
    let printed = rendered(&[
        "--state",
        "s3://b/study",
        "--workers",
        "5",
        "--threads",
        "3",
        "--data-claim",
        "pictures",
    ]);
    let printed = printed.success().stdout;
    let objects: Vec<Value> = serde_yaml::Deserializer::from_str(&printed)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let [config, job] = &objects[..] else { panic!("{printed}") };
    assert_eq!((&config["kind"], &job["kind"]), (&json!("ConfigMap"), &json!("Job")));
    assert!(config["data"]["quick.yaml"].as_str().unwrap().contains("base: quick"));
    let spec = &job["spec"];
    assert_eq!((&spec["completionMode"], &spec["completions"]), (&json!("Indexed"), &json!(5)));
    assert_eq!((&spec["parallelism"], &spec["backoffLimitPerIndex"]), (&json!(5), &json!(3)));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    assert!(container["image"].as_str().unwrap().contains("@sha256:"));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["envFrom"][0]["secretRef"]["name"], "study-state");
    let args = container["args"].to_string();
    assert_eq!(container["resources"]["requests"]["cpu"], "3");
    for arg in ["/study/quick.yaml", "--threads=3", "--state=s3://b/study", "--data-dir=/data"] {
        assert!(args.contains(arg), "{arg} is not in {args}");
    }
}

#[test]
fn a_job_that_pods_could_not_do_is_not_rendered() {
    for (args, told) in [
        (&["--data", "synthetic"][..], "--state"),
        (&["--state", "studies/quick/state", "--data", "synthetic"], "no place that pods"),
        (&["--state", "s3://b/study"], "--data-claim"),
        (&["--state", "s3://b/study", "--data", "synthetic", "--jobs", "2"], "--jobs"),
    ] {
        let refused = rendered(args);
        assert!(refused.code != Some(0) && refused.stderr.contains(told), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
}
