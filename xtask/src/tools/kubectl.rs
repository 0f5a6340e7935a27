//! A cluster, through `kubectl`: always one context, named in every call, whatever becomes the current one
//! meanwhile. Objects are applied server-side under a name of ours, so taking them back removes what was ours
//! and nothing else.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::process::{Cmd, Ended, Running};
use crate::repo::Repo;
use crate::report::WithHint;

/// Who owns the fields that we apply.
const FIELD_MANAGER: &str = "mnist-api";
/// A tunnel is there within this time, or not at all.
const TUNNEL_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    context: String,
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflicts {
    /// A field that somebody else set to something else is an error.
    Refuse,
    /// It becomes ours.
    TakeOver,
}

impl Kubectl {
    /// The context asked for, or the current one. Asks no cluster yet.
    pub(crate) fn of(repo: &Repo, context: Option<&str>) -> anyhow::Result<Self> {
        let dir = repo.root().to_owned();
        let known = Cmd::new("kubectl", &dir).args(["config", "get-contexts", "--output", "name"]);
        let known = known.end().hint("install kubectl")?.stdout;
        let context = if let Some(name) = context {
            name.to_owned()
        } else {
            let current = Cmd::new("kubectl", &dir).args(["config", "current-context"]).end()?;
            current.stdout.trim().to_owned()
        };
        if !known.lines().any(|name| name == context) {
            let lack = match context.as_str() {
                "" => anyhow::anyhow!("no context is chosen"),
                name => anyhow::anyhow!("there is no context `{name}`"),
            };
            return Err(lack)
                .hint("kubectl config get-contexts, then kubectl config use-context NAME");
        }
        Ok(Self { context, dir })
    }

    pub(crate) fn context(&self) -> &str {
        &self.context
    }

    pub(crate) fn cmd(&self, args: &[&str]) -> Cmd {
        // Without a limit, a server that does not answer is waited for without end.
        Cmd::new("kubectl", &self.dir)
            .args(["--context", &self.context, "--request-timeout", "30s"])
            .args(args)
    }

    /// What `get` finds, as the API returns it. What is not there is an error.
    pub(crate) fn get(&self, args: &[&str]) -> anyhow::Result<Value> {
        let ended = self.cmd(&[&["get"], args, &["--output", "json"]].concat()).end()?;
        let text = demand(&ended)?;
        serde_json::from_str(&text)
            .with_context(|| format!("`kubectl get {}` printed no JSON", args.join(" ")))
    }

    /// Whatever of it is there: a kind that the cluster does not know is not there either.
    pub(crate) fn find(&self, args: &[&str]) -> Option<Value> {
        self.get(args).ok()
    }

    /// Whether the cluster knows Argo CD's Applications.
    pub(crate) fn argo_cd(&self) -> anyhow::Result<()> {
        self.get(&["customresourcedefinition", "applications.argoproj.io"]).map(drop)
    }

    pub(crate) fn apply(&self, manifests: &str, conflicts: Conflicts) -> anyhow::Result<()> {
        self.apply_as(FIELD_MANAGER, manifests, conflicts)
    }

    /// Applied again by the same manager, what is missing from `manifests` is removed if nobody else has it.
    pub(crate) fn apply_as(
        &self,
        manager: &str,
        manifests: &str,
        conflicts: Conflicts,
    ) -> anyhow::Result<()> {
        let mut apply = self
            .cmd(&["apply", "--server-side", "--field-manager", manager, "--filename", "-"])
            .input(manifests);
        if conflicts == Conflicts::TakeOver {
            apply = apply.arg("--force-conflicts");
        }
        demand(&apply.end()?).map(drop)
    }

    /// What an admission of the API server has against it, with nothing changed.
    pub(crate) fn rehearse(&self, manifests: &str) -> anyhow::Result<()> {
        let args = ["apply", "--server-side", "--dry-run=server", "--field-manager", FIELD_MANAGER];
        let apply = self.cmd(&args).args(["--force-conflicts", "--filename", "-"]).input(manifests);
        demand(&apply.end()?).map(drop)
    }

    pub(crate) fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        demand(&self.cmd(args).end()?)
    }

    /// A port of this machine that leads to a port of a Service's pod.
    pub(crate) fn tunnel(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
        scratch: &Path,
    ) -> anyhow::Result<Tunnel> {
        let log = scratch.join(format!("tunnel-{service}-{port}.log"));
        // Lives as long as it is needed, so the limit of a request must not end it.
        let forward = Cmd::new("kubectl", &self.dir).args(["--context", &self.context]);
        let forward = forward.args(["--namespace", namespace, "port-forward"]);
        let forward = forward.arg(format!("service/{service}")).arg(format!(":{port}"));
        let running = forward.tied_to_us().start(&log)?;
        let deadline = Instant::now() + TUNNEL_PATIENCE;
        loop {
            let told = fs_err::read_to_string(&log)?;
            if let Some(local) = local_port(&told) {
                return Ok(Tunnel { local, _running: running });
            }
            ensure!(
                !running.has_ended() && Instant::now() < deadline,
                "`kubectl port-forward` to {namespace}/{service} does not work: {}",
                told.trim()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Open as long as this value lives.
pub(crate) struct Tunnel {
    local: u16,
    _running: Running,
}

impl Tunnel {
    pub(crate) fn port(&self) -> u16 {
        self.local
    }
}

/// `Forwarding from 127.0.0.1:40123 -> 9418`.
fn local_port(told: &str) -> Option<u16> {
    let (_, rest) = told.split_once("Forwarding from 127.0.0.1:")?;
    rest.split_once(' ')?.0.parse().ok()
}

fn demand(ended: &Ended) -> anyhow::Result<String> {
    if ended.success {
        return Ok(ended.stdout.clone());
    }
    // After a conflict it teaches; what conflicts is told before.
    let complaint = ended.stderr.split("\nPlease review").next().unwrap_or_default().trim();
    let complaint = complaint.strip_prefix("error: ").unwrap_or(complaint);
    anyhow::bail!("kubectl: {}", if complaint.is_empty() { "it says nothing" } else { complaint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_tunnel_is_read_once_it_is_told_whole() {
        assert_eq!(local_port("Forwarding from 127.0.0.1:40123 -> 9418\n"), Some(40123));
        assert_eq!(local_port("Forwarding from 127.0.0.1:401"), None);
        assert_eq!(local_port("error: unable to forward"), None);
    }
}
