//! `cluster bootstrap`: Argo CD as `argocd/install` has it, or its settings on the one that is there.

use fs_err as fs;

use super::Context;
use crate::identity::SETTINGS;
use crate::repo::Repo;
use crate::report::{WithHint, step};
use crate::tools::kubectl::{Conflicts, Kubectl};

/// Install Argo CD, or give the one that is there the settings that the loop relies on
///
/// Applied server-side: keys that are not the repository's stay as they are, and a key that somebody else
/// set to something else is an error that names it. The Applications are applied by hand, once something is
/// released: kubectl apply -f argocd/root.yaml
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    context: Context,
    /// Overwrite keys that somebody else set to something else
    #[arg(long)]
    take_over: bool,
    /// Let the API server look at everything, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let kubectl = self.context.kubectl(repo)?;
        if kubectl.argo_cd().is_err() {
            return self.install(&kubectl);
        }
        let conflicts = if self.take_over { Conflicts::TakeOver } else { Conflicts::Refuse };
        for name in SETTINGS {
            let manifests = fs::read_to_string(repo.path(&format!("argocd/install/{name}.yaml")))?;
            let manifests =
                manifests.replacen("metadata:\n", "metadata:\n  namespace: argocd\n", 1);
            if self.dry_run {
                kubectl.rehearse(&manifests)?;
                step(format_args!("{name} would be accepted"));
                continue;
            }
            kubectl
                .apply(&manifests, conflicts)
                .hint("--take-over overwrites what somebody else has set")?;
            step(format_args!("{name} is as the repository says"));
        }
        if !self.dry_run {
            restart(&kubectl)?;
        }
        Ok(())
    }

    fn install(&self, kubectl: &Kubectl) -> anyhow::Result<()> {
        step("Argo CD is not here: installing it");
        if self.dry_run {
            step("nothing was changed: argocd/install would be applied");
            return Ok(());
        }
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: argocd }\n";
        kubectl.apply(namespace, Conflicts::Refuse)?;
        let apply = kubectl.cmd(&["apply", "--server-side", "--kustomize", "argocd/install"]);
        // The manifests come from afar, and are many.
        apply.arg("--request-timeout=5m").run()
    }
}

/// They read their settings when they start.
fn restart(kubectl: &Kubectl) -> anyhow::Result<()> {
    for name in ["statefulset/argocd-application-controller", "deployment/argocd-repo-server"] {
        if kubectl.find(&[name, "--namespace", "argocd"]).is_none() {
            step(format_args!("{name} is not here: start it again where it runs"));
            continue;
        }
        kubectl.run(&["rollout", "restart", name, "--namespace", "argocd"])?;
        step(format_args!("{name} starts again, with these settings"));
    }
    Ok(())
}
