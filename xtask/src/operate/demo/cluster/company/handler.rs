//! The program that handles reports, as `argocd/listen` ships it, and the way of Argo CD's reports to it.

use std::path::Path;

use anyhow::{Context, ensure};
use contract::digest::Digest;
use fs_err as fs;
use serde_json::{Value, json};

use super::Company;
use crate::operate::demo::cluster::notifications;
use crate::repo::Repo;
use crate::report::WithHint;
use crate::tools::kubectl::Conflicts;
use crate::tools::kustomize;
use crate::tools::registry::MIRRORS;

const LISTEN: &str = "gitops-listen";

impl Company {
    /// The shipped manifests of `argocd/listen`, in the demo's namespace and for its repository; and Argo CD's
    /// shipped notifications, sent there.
    pub(in super::super) fn listen(&self, clone: &Repo, repository: &str) -> anyhow::Result<()> {
        let token = token()?;
        let remote = format!("remote=git://{}/main.git", self.address("git")?);
        let host = repository.split('/').next().unwrap_or_default();
        let inside = self.registry_for_pods(host);
        let mirrors = inside.as_ref().map(|inside| format!("{host}=http://{inside}"));
        let overlay = json!({
            "namespace": self.name,
            "resources": ["../argocd/listen"],
            "images": [{
                "name": "mnist-api-gitops",
                "newName": self.handler.repository(),
                "newTag": self.handler.tag(),
                "digest": self.handler.digest().to_string(),
            }],
            "secretGenerator": [
                { "name": LISTEN, "literals": [remote] },
                { "name": notifications::SECRET, "literals": [format!("gitops-token={token}")] },
            ],
            "patches": Self::adaptations(&mirrors.unwrap_or_default()),
        });
        let folder = clone.path("demo");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("kustomization.yaml"), serde_yaml::to_string(&overlay)?)?;
        let manifests = kustomize::build(&folder)?.map_err(anyhow::Error::msg)?;
        fs::remove_dir_all(&folder)?;
        self.kubectl.apply(&manifests, Conflicts::Refuse)?;
        self.await_rollout(LISTEN)?;
        self.demand_registry(inside.as_deref().unwrap_or(host))?;
        let url = format!("http://{}:8080", self.address(LISTEN)?);
        let settings = notifications::manifests(clone, &self.name, &url, &token)?;
        self.kubectl.apply_as(&self.name, &settings, Conflicts::Refuse)
    }

    /// Without it no image could be looked for before it is brought back, and nothing would be reverted.
    fn demand_registry(&self, host: &str) -> anyhow::Result<()> {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
        let connect = format!("timeout 5 bash -c 'exec 3<>/dev/tcp/{name}/{port}'");
        let pod = format!("deployment/{LISTEN}");
        let exec = ["exec", "--namespace", &self.name, &pod, "--", "bash", "-c", &connect];
        let reached = self.kubectl.run(&exec).map(drop);
        reached.with_context(|| format!("pods do not reach the registry as {host}")).hint(
            "docs/loop.md, at its end: a ConfigMap tells by which name pods reach the registry",
        )
    }

    /// A demo's reports need not outlive their node, and come from another namespace.
    fn adaptations(mirrors: &str) -> Value {
        let patch = |kind: &str, spec: Value| {
            let metadata = json!({ "name": LISTEN });
            let version = match kind {
                "Deployment" => "apps/v1",
                "NetworkPolicy" => "networking.k8s.io/v1",
                _ => "v1",
            };
            let mut patch = json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
            match spec {
                Value::Null => patch["$patch"] = json!("delete"),
                spec => patch["spec"] = spec,
            }
            json!({ "patch": patch.to_string() })
        };
        let container = json!({
            "name": "listen",
            "env": [{ "name": MIRRORS, "value": mirrors }],
        });
        let spool = json!({ "name": "spool", "emptyDir": {}, "persistentVolumeClaim": null });
        let pod = json!({ "containers": [container], "volumes": [spool] });
        let argo_cd = json!({ "kubernetes.io/metadata.name": "argocd" });
        let from = json!([{ "namespaceSelector": { "matchLabels": argo_cd } }]);
        let ports = json!([{ "port": "http" }]);
        json!([
            patch("Deployment", json!({ "template": { "spec": pod } })),
            patch("NetworkPolicy", json!({ "ingress": [{ "from": from, "ports": ports }] })),
            patch("PersistentVolumeClaim", Value::Null),
        ])
    }

    /// Clusters on one machine have a registry that nodes know as `localhost`, and pods by another name; such
    /// clusters tell it in a `ConfigMap` (KEP-1755).
    fn registry_for_pods(&self, host: &str) -> Option<String> {
        let told = ["configmap", "local-registry-hosting", "--namespace", "kube-public"];
        let told = self.kubectl.find(&told)?;
        let hosting = told["data"]["localRegistryHosting.v1"].as_str()?;
        let hosting: Value = serde_yaml::from_str(hosting).ok()?;
        let inside = hosting["hostFromClusterNetwork"].as_str()?;
        (hosting["host"] == *host).then(|| inside.to_owned())
    }

    /// What the handler of reports has logged.
    pub(in super::super) fn heard(&self) -> anyhow::Result<String> {
        self.kubectl.run(&["logs", "--namespace", &self.name, &format!("deployment/{LISTEN}")])
    }
}

/// Nobody can guess it.
fn token() -> anyhow::Result<String> {
    let random = fs::File::open(Path::new("/dev/urandom"))?;
    let digest = Digest::of_reader(std::io::Read::take(random, 32))?;
    ensure!(digest != Digest::of(b""), "/dev/urandom is empty");
    Ok(digest.hex())
}
