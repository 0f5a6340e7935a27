//! [`Company`]: what a demo brings along into a cluster – a Git server, the program that handles reports, and
//! visitors – all in one namespace, and how everything of the demo goes away again.

mod handler;
mod visitors;

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use super::{Handler, notifications};
use crate::operate::rehearsal::script::{PRODUCTION, STAGING};
use crate::tools::kubectl::{Conflicts, Kubectl, Tunnel};

pub(super) struct Company {
    kubectl: Kubectl,
    name: String,
    handler: Handler,
    scratch: tempfile::TempDir,
}

const COMPANY: &str = include_str!("company/company.yaml");
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

    fn await_rollout(&self, deployment: &str) -> anyhow::Result<()> {
        let deployment = format!("deployment/{deployment}");
        let args =
            ["rollout", "status", "--namespace", &self.name, &deployment, "--timeout", "120s"];
        self.kubectl.cmd(&args).arg("--request-timeout=0").bytes().map(drop)
    }
}
