//! [`Company`]: what a demo brings along into a cluster – a Git server, the program that handles reports, and
//! visitors – all in one namespace, and how everything of the demo goes away again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use contract::digest::Digest;
use fs_err as fs;
use serde_json::{Value, json};

use super::{Handler, notifications};
use crate::operate::demo::script::{PRODUCTION, STAGING};
use crate::operate::visitor::Seen;
use crate::repo::Repo;
use crate::tools::kubectl::{Conflicts, Kubectl, Tunnel};
use crate::tools::kustomize;
use crate::tools::registry::MIRRORS;

pub(super) struct Company {
    kubectl: Kubectl,
    name: String,
    handler: Handler,
    scratch: tempfile::TempDir,
}

const COMPANY: &str = include_str!("company.yaml");
const VISITOR: &str = include_str!("visitor.yaml");
const LISTEN: &str = "gitops-listen";
const APPLICATION: &str = "application.argoproj.io";
/// Addresses come within this time, or are not handed out here.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(15);

impl Company {
    /// Makes the namespace, and a Git server in it with an empty repository.
    pub(super) fn gather(kubectl: &Kubectl, name: &str, handler: &Handler) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir().context("making a folder for logs")?;
        let (kubectl, name, handler) = (kubectl.clone(), name.to_owned(), handler.clone());
        let company = Self { kubectl, name, handler, scratch };
        let gathered = company.apply(COMPANY).and_then(|()| company.await_rollout("git"));
        match gathered {
            Ok(()) => Ok(company),
            Err(error) => {
                company.dissolve()?;
                Err(error).with_context(|| {
                    format!("nodes cannot run {}, or not within two minutes", company.handler)
                })
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    pub(super) fn namespace_of(&self, environment: &str) -> String {
        format!("{}-{environment}", self.name)
    }

    pub(super) fn git(&self) -> anyhow::Result<Tunnel> {
        self.kubectl.tunnel(&self.name, "git", 9418, self.scratch.path())
    }

    /// Of a Service, in the cluster's network.
    pub(super) fn address(&self, service: &str) -> anyhow::Result<String> {
        let service = self.kubectl.get(&["service", service, "--namespace", &self.name])?;
        let address = service["spec"]["clusterIP"].as_str();
        address.map(str::to_owned).context("a Service without an address")
    }

    /// Whether a Service of the type `LoadBalancer` gets an address here.
    pub(super) fn hands_out_addresses(&self) -> bool {
        let deadline = Instant::now() + ADDRESS_PATIENCE;
        while Instant::now() < deadline {
            let service = self.kubectl.find(&["service", "address", "--namespace", &self.name]);
            if service.is_some_and(|one| one["status"]["loadBalancer"]["ingress"].is_array()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        false
    }

    /// The shipped manifests of `argocd/listen`, in the demo's namespace and for its repository; and Argo CD's
    /// shipped notifications, sent there.
    pub(super) fn listen(&self, clone: &Repo, repository: &str) -> anyhow::Result<()> {
        let token = token()?;
        let remote = format!("remote=git://{}/main.git", self.address("git")?);
        let host = repository.split('/').next().unwrap_or_default();
        let mirrors = self.registry_for_pods(host).map(|inside| format!("{host}=http://{inside}"));
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
        let url = format!("http://{}:8080", self.address(LISTEN)?);
        let settings = notifications::manifests(clone, &self.name, &url, &token)?;
        self.kubectl.apply_as(&self.name, &settings, Conflicts::Refuse)
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
    pub(super) fn heard(&self) -> anyhow::Result<String> {
        self.kubectl.run(&["logs", "--namespace", &self.name, &format!("deployment/{LISTEN}")])
    }

    /// Sends a client to an environment, for as long as the demo lasts.
    pub(super) fn send_visitor(
        &self,
        environment: &str,
        service: &str,
        probes: &str,
        rate: u32,
    ) -> anyhow::Result<()> {
        let probes = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "probes", "namespace": self.name },
            "data": { "probes.json": probes },
        });
        self.kubectl.apply(&probes.to_string(), Conflicts::Refuse)?;
        let visitor = VISITOR
            .replace("ENVIRONMENT", environment)
            .replace("SERVICE", service)
            .replace("RATE", &rate.to_string());
        self.apply(&visitor)
    }

    /// What it saw, a line of JSON per second.
    pub(super) fn visited(&self, environment: &str) -> anyhow::Result<Vec<Seen>> {
        let pod = format!("visitor-{environment}");
        let told = self.kubectl.run(&["logs", "--namespace", &self.name, &pod])?;
        // Its stderr, which is not JSON, comes along; a line that is being written is read the next time.
        Ok(told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    pub(super) fn application(&self, environment: &str) -> Option<Value> {
        let name = self.namespace_of(environment);
        self.kubectl.find(&[APPLICATION, &name, "--namespace", "argocd"])
    }

    /// What a Git host's webhook does; of no consequence where there is no such Application yet.
    pub(super) fn refresh(&self, environment: &str) {
        let name = self.namespace_of(environment);
        let refresh = "argocd.argoproj.io/refresh=normal";
        let annotate =
            ["annotate", APPLICATION, &name, "--namespace", "argocd", "--overwrite", refresh];
        drop(self.kubectl.run(&annotate));
    }

    /// Everything that bears the demo's name.
    pub(super) fn dissolve(&self) -> anyhow::Result<()> {
        let applications =
            ["root", STAGING, PRODUCTION].map(|suffix| format!("{}-{suffix}", self.name));
        let mut outcomes = Vec::new();
        for application in &applications {
            // What it deployed goes with its namespace; a finalizer would wait for that.
            let keep = r#"{"metadata":{"finalizers":null}}"#;
            let patch = ["patch", APPLICATION, application, "--namespace", "argocd"];
            drop(self.kubectl.run(&[&patch[..], &["--type", "merge", "--patch", keep]].concat()));
            outcomes.push(self.delete(&[APPLICATION, application, "--namespace", "argocd"]));
        }
        for project in [self.name.clone(), format!("{}-root", self.name)] {
            outcomes.push(self.delete(&[
                "appproject.argoproj.io",
                &project,
                "--namespace",
                "argocd",
            ]));
        }
        let settings =
            self.kubectl.find(&["configmap", "argocd-notifications-cm", "--namespace", "argocd"]);
        if settings.is_some_and(|settings| settings.to_string().contains(&self.name)) {
            outcomes.push(self.kubectl.apply_as(
                &self.name,
                &notifications::nothing()?,
                Conflicts::Refuse,
            ));
        }
        for namespace in
            [self.namespace_of(STAGING), self.namespace_of(PRODUCTION), self.name.clone()]
        {
            outcomes.push(self.delete(&["namespace", &namespace]));
        }
        outcomes.into_iter().collect()
    }

    fn delete(&self, what: &[&str]) -> anyhow::Result<()> {
        let delete = [&["delete"], what, &["--ignore-not-found", "--timeout", "120s"]].concat();
        // It waits until the object is gone, which takes longer than a request.
        self.kubectl.cmd(&delete).arg("--request-timeout=0").bytes().map(drop)
    }

    fn apply(&self, template: &str) -> anyhow::Result<()> {
        let manifests =
            template.replace("NAME", &self.name).replace("IMAGE", &self.handler.to_string());
        self.kubectl.apply(&manifests, Conflicts::Refuse)
    }

    pub(super) fn await_rollout(&self, deployment: &str) -> anyhow::Result<()> {
        let deployment = format!("deployment/{deployment}");
        let args =
            ["rollout", "status", "--namespace", &self.name, &deployment, "--timeout", "120s"];
        self.kubectl.cmd(&args).arg("--request-timeout=0").bytes().map(drop)
    }
}

/// Nobody can guess it.
fn token() -> anyhow::Result<String> {
    let random = fs::File::open(Path::new("/dev/urandom"))?;
    let digest = Digest::of_reader(std::io::Read::take(random, 32))?;
    ensure!(digest != Digest::of(b""), "/dev/urandom is empty");
    Ok(digest.hex())
}
