//! A Kubernetes Indexed Job whose pods work at one study: each takes the next trial that nobody has, by the state that
//! they share in an object store. Printed once it fits the schemas of Kubernetes.

use std::path::Path;

use anyhow::{Context, bail};
use fs_err as fs;
use gitops::image_reference::ImageReference;
use serde_json::{Value, json};

use crate::report::{WithHint, data};
use crate::tools::kubeconform;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Print a Kubernetes Job that works at the study, and run nothing here
    ///
    /// Its image is the one that `image trainer --push` prints.
    #[arg(long, value_name = "NAME:TAG@DIGEST", requires = "state")]
    #[arg(conflicts_with_all = ["jobs", "device"])]
    render_job: Option<ImageReference>,
    /// Pods of the Job
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    workers: u16,
    /// Secret with the store's credentials as environment variables, such as `AWS_ACCESS_KEY_ID`
    #[arg(long, value_name = "NAME", default_value = "study-state")]
    secret: String,
    /// `PersistentVolumeClaim` with the task's files [needed unless `--data synthetic`]
    #[arg(long, value_name = "NAME")]
    data_claim: Option<String>,
}

/// What a pod of nobody in particular runs as.
const NOBODY: u32 = 65532;

impl Args {
    pub(super) fn is_wanted(&self) -> bool {
        self.render_job.is_some()
    }

    pub(super) fn render(
        &self,
        study: &Path,
        task: &Path,
        state: &str,
        is_drawn: bool,
        threads: Option<u16>,
    ) -> anyhow::Result<()> {
        if !["s3://", "gs://", "azure://"].iter().any(|scheme| state.starts_with(scheme)) {
            return Err(anyhow::anyhow!("`{state}` is no place that pods on many machines share"))
                .hint("`--state s3://BUCKET/PREFIX`");
        }
        if self.data_claim.is_none() && !is_drawn {
            bail!("pods have no data: name a claim by `--data-claim`, or say `--data synthetic`");
        }
        let name = name(study)?;
        let written = fs::read_to_string(study)?;
        let study: Value = serde_yaml::from_str(&written)
            .with_context(|| format!("`{}` is not a study", study.display()))?;
        if !["quick", "release"].contains(&study["base"].as_str().unwrap_or_default()) {
            bail!(
                "the study begins with a file, which the Job would not have: `base: quick` or `base: release`"
            );
        }
        let objects = [
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": format!("study-{name}"), "labels": labels(&name) },
                "data": { format!("{name}.yaml"): written, "task.yaml": fs::read_to_string(task)? },
            }),
            self.job(&name, state, threads.unwrap_or(2)),
        ];
        let documents = objects.iter().map(serde_yaml::to_string).collect::<Result<Vec<_>, _>>()?;
        let manifests = documents.join("---\n");
        let mistakes = kubeconform::mistakes(&[(name, manifests.clone())])?;
        if !mistakes.is_empty() {
            let told: Vec<_> = mistakes.into_iter().map(|(_, mistake)| mistake).collect();
            bail!(
                "the Job does not fit Kubernetes {}: {}",
                kubeconform::KUBERNETES,
                told.join("; ")
            );
        }
        data(manifests.trim_end());
        Ok(())
    }

    fn job(&self, name: &str, state: &str, threads: u16) -> Value {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": format!("study-{name}"), "labels": labels(name) },
            "spec": {
                "completionMode": "Indexed",
                "completions": self.workers,
                "parallelism": self.workers,
                // A pod that goes loses at most its own trial, which another takes over.
                "backoffLimitPerIndex": 3,
                "maxFailedIndexes": self.workers,
                "podFailurePolicy": { "rules": [{
                    "action": "Ignore",
                    "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
                }]},
                "template": {
                    "metadata": { "labels": labels(name) },
                    "spec": {
                        "restartPolicy": "Never",
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "securityContext": {
                            "runAsNonRoot": true,
                            "runAsUser": NOBODY,
                            "runAsGroup": NOBODY,
                            "fsGroup": NOBODY,
                            "seccompProfile": { "type": "RuntimeDefault" },
                        },
                        "containers": [self.container(name, state, threads)],
                        "volumes": self.volumes(name),
                    },
                },
            },
        })
    }

    fn container(&self, name: &str, state: &str, threads: u16) -> Value {
        let mut args = vec![
            "tune".to_owned(),
            format!("/study/{name}.yaml"),
            format!("--state={state}"),
            "--studies=/work/studies".to_owned(),
            "--runs=/work/runs".to_owned(),
            "--trainer=/app/bin/model".to_owned(),
            "--task=/study/task.yaml".to_owned(),
            // Of the request below, and not of the node.
            format!("--threads={threads}"),
            "--".to_owned(),
        ];
        let mut mounts = vec![
            json!({ "name": "study", "mountPath": "/study", "readOnly": true }),
            json!({ "name": "work", "mountPath": "/work" }),
        ];
        if self.data_claim.is_some() {
            args.push("--data-dir=/data".to_owned());
            mounts.push(json!({ "name": "data", "mountPath": "/data", "readOnly": true }));
        } else {
            args.push("--synthetic".to_owned());
        }
        json!({
            "name": "worker",
            "image": self.render_job.as_ref().map(ToString::to_string),
            "command": ["/app/bin/mlops"],
            "args": args,
            "envFrom": [{ "secretRef": { "name": self.secret } }],
            "volumeMounts": mounts,
            "resources": {
                "requests": { "cpu": threads.to_string(), "memory": "1Gi", "ephemeral-storage": "1Gi" },
                "limits": { "cpu": threads.to_string(), "memory": "2Gi", "ephemeral-storage": "4Gi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        })
    }

    fn volumes(&self, name: &str) -> Vec<Value> {
        let mut volumes = vec![
            json!({ "name": "study", "configMap": { "name": format!("study-{name}") } }),
            json!({ "name": "work", "emptyDir": { "sizeLimit": "4Gi" } }),
        ];
        if let Some(claim) = &self.data_claim {
            volumes.push(json!({
                "name": "data",
                "persistentVolumeClaim": { "claimName": claim, "readOnly": true },
            }));
        }
        volumes
    }
}

fn labels(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": format!("study-{name}"), "app.kubernetes.io/component": "tuning" })
}

/// Also of objects in a cluster.
fn name(study: &Path) -> anyhow::Result<String> {
    let name =
        study.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_kept = |letter| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    if name.is_empty() || name.len() > 50 || !name.chars().all(is_kept) {
        bail!("`{}`: a study in a cluster is named by a-z, 0-9 and -", study.display());
    }
    Ok(name)
}
