//! `cluster smoke`: the smoke Job of what is synced, once more, by hand. It says what runs now, and marks
//! nothing: only a Job that Argo CD ran after a sync does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use gitops::verdict::Verdict;
use serde_json::{Value, json};

use super::Context;
use super::status::{application, namespace};
use crate::deliver::remote::Remote;
use crate::identity::Identity;
use crate::reconciler::Source;
use crate::rendered::{Object, Objects, list, smoke};
use crate::repo::Repo;
use crate::report::{Exit, WithHint, data};
use crate::tools::kubectl::{Conflicts, Kubectl};

/// Run an environment's smoke test by hand
///
/// The Job as it was rendered for what is synced, under another name, gone afterwards. Exit status 42: the
/// service is wrong; 43: the model is; 75: nothing can be said. Main is not told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Environment to look at
    #[arg(value_name = "ENV")]
    pub(super) env: String,
    #[command(flatten)]
    pub(super) context: Context,
    #[command(flatten)]
    pub(super) remote: Remote,
}

const UNDECIDED: i64 = 75;
const INTERVAL: Duration = Duration::from_millis(500);
/// For a Job without a deadline of its own.
const PATIENCE: u64 = 300;

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let kubectl = self.context.kubectl(repo)?;
        let snapshot = self.remote.snapshot(repo)?;
        let known = snapshot.environments();
        let environment = known.parse(&self.env).hint("cargo xtask status lists them")?;
        let name = format!("{}-{environment}", Identity::read(repo)?.prefix);
        let application = application(&kubectl, &name)
            .with_context(|| format!("there is no Application {name}"))
            .hint("kubectl apply -f argocd/root.yaml")?;
        let namespace = namespace(&application).context("it deploys nowhere")?;
        let synced = &application["status"]["operationState"]["syncResult"]["revision"];
        let synced = synced.as_str().with_context(|| format!("{name} was never synced"))?;
        let source = Source::new(self.remote.repository(repo));
        let manifests = source.render(synced.parse()?, &environment)?;
        let objects = Objects::parse(&manifests.map_err(anyhow::Error::msg)?)?;
        let job = smoke::job(&objects).context("there is no single Job after a sync")?;
        let by_hand = ByHand {
            kubectl,
            namespace: namespace.to_owned(),
            name: format!("{}-by-hand", job.name()),
        };
        by_hand.run(job)
    }
}

struct ByHand {
    kubectl: Kubectl,
    namespace: String,
    name: String,
}

impl ByHand {
    fn run(&self, job: &Object) -> anyhow::Result<()> {
        let mut manifest = job.at("").clone();
        manifest["metadata"]["name"] = json!(self.name);
        // Argo CD must not take it for its own.
        manifest["metadata"]["annotations"] = json!({});
        self.delete()?;
        self.kubectl.apply(&manifest.to_string(), Conflicts::Refuse)?;
        let ended = self.await_end(job).and_then(|()| self.verdict());
        self.delete()?;
        ended
    }

    fn await_end(&self, job: &Object) -> anyhow::Result<()> {
        let patience = job.at("/spec/activeDeadlineSeconds").as_u64().unwrap_or(PATIENCE);
        let deadline = Instant::now() + Duration::from_secs(patience + 10);
        loop {
            let state = self.kubectl.get(&["job", &self.name, "--namespace", &self.namespace])?;
            let is = |kind: &str| {
                let conditions = list(&state["status"]["conditions"]).iter();
                conditions.clone().any(|one| one["type"] == *kind && one["status"] == "True")
            };
            if is("Complete") || is("Failed") {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the Job {} does not end", self.name);
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// What the last of its pods said.
    fn verdict(&self) -> anyhow::Result<()> {
        let selector = format!("job-name={}", self.name);
        let sorted = "--sort-by=.metadata.creationTimestamp";
        let pods = ["pods", "--namespace", &self.namespace, "--selector", &selector, sorted];
        let pods = self.kubectl.get(&pods)?;
        let pod = list(&pods["items"]).last().context("its pods are gone")?;
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let log = self.kubectl.run(&["logs", "--namespace", &self.namespace, name])?;
        data(log.trim_end());
        let code = match &pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] {
            Value::Number(code) => code.as_i64().unwrap_or(UNDECIDED),
            _ => UNDECIDED,
        };
        if code == 0 {
            return Ok(());
        }
        let message = format!("the smoke test ended with {code}: {}", Verdict::of_exit_code(code));
        Err(Exit { code: u8::try_from(code).unwrap_or(1), message }.into())
    }

    fn delete(&self) -> anyhow::Result<()> {
        let delete =
            ["delete", "job", &self.name, "--namespace", &self.namespace, "--ignore-not-found"];
        self.kubectl.run(&delete).map(drop)
    }
}
