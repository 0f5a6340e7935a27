//! [`Wanted`]: what rendered manifests ask for, as far as it can be done without a cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use gitops::image_reference::ImageReference;
use serde_json::Value;

use crate::rendered::{Object, Objects, list, smoke, texts};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// All that is applied; hooks are run and not compared.
    applied: Vec<Value>,
    pub(super) template: Template,
    pub(super) progress_deadline: Duration,
    pub(super) smoke: Smoke,
}

/// What a process is started from: the same template need not be started twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) image: ImageReference,
    pub(super) env: Vec<(String, String)>,
}

/// The Job after a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Smoke {
    pub(super) container: String,
    /// The service's URL and the file of probes are still the cluster's.
    pub(super) args: Vec<String>,
    pub(super) probes: String,
    /// Exit codes that are final: `podFailurePolicy` with the action `FailJob`.
    pub(super) fails_at: Vec<i64>,
    pub(super) tries: u64,
}

const HOOK: &str = "argocd.argoproj.io/hook";
/// Kubernetes' own, where a Deployment says nothing.
const PROGRESS_DEADLINE: u64 = 600;
/// Kubernetes' own, where a Job says nothing.
const BACKOFF_LIMIT: u64 = 6;

impl Wanted {
    pub(super) fn parse(manifests: &str) -> anyhow::Result<Self> {
        let objects = Objects::parse(manifests).context("reading what kustomize printed")?;
        let job = smoke::job(&objects).context("there is no single Job after a sync")?;
        let (service, _port) =
            smoke::target(&objects, job).context("the smoke test leads to no workload")?;
        let [container] = service.list("/spec/template/spec/containers") else {
            anyhow::bail!("{} has not exactly one container", service.title());
        };
        let image = container["image"].as_str().unwrap_or_default();
        let template = Template { image: image.parse()?, env: variables(&objects, container)? };
        let deadline = service.at("/spec/progressDeadlineSeconds").as_u64();
        let hooks = |object: &&Object| object.annotation(HOOK).is_none();
        Ok(Self {
            applied: objects.all().iter().filter(hooks).map(|o| o.at("").clone()).collect(),
            template,
            progress_deadline: Duration::from_secs(deadline.unwrap_or(PROGRESS_DEADLINE)),
            smoke: Smoke::of(&objects, job)?,
        })
    }

    /// An environment waits for its first release with a digest of zeros; its Application comes after.
    pub(super) fn is_unreleased(&self) -> bool {
        self.template.image.digest().hex().bytes().all(|byte| byte == b'0')
    }

    /// Whether the same would be applied: another smoke test alone starts no sync.
    pub(super) fn is_same_state(&self, other: &Self) -> bool {
        self.applied == other.applied
    }
}

impl Smoke {
    /// The arguments, with the addresses that hold here.
    pub(super) fn against(&self, url: &str, probes: &Path) -> Vec<String> {
        let mut is_probes = false;
        let mut here = Vec::new();
        for arg in &self.args {
            here.push(match arg {
                arg if arg.starts_with("http://") => url.to_owned(),
                _ if is_probes => probes.display().to_string(),
                arg => arg.clone(),
            });
            is_probes = arg == "--probes";
        }
        here
    }

    fn of(objects: &Objects, job: &Object) -> anyhow::Result<Self> {
        let container = &job.list("/spec/template/spec/containers")[0];
        let env = variables(objects, container)?;
        let expand = |arg: &str| {
            env.iter().fold(arg.to_owned(), |arg, (name, value)| {
                arg.replace(&format!("$({name})"), value)
            })
        };
        let args: Vec<String> = texts(&container["args"]).into_iter().map(expand).collect();
        let file = args.iter().position(|arg| arg == "--probes").and_then(|at| args.get(at + 1));
        let probes = file.and_then(|path| smoke::mounted(objects, job, container, path));
        let fails_at = job
            .list("/spec/podFailurePolicy/rules")
            .iter()
            .filter(|rule| rule["action"] == "FailJob")
            .flat_map(|rule| list(&rule["onExitCodes"]["values"]))
            .filter_map(Value::as_i64)
            .collect();
        Ok(Self {
            container: container["name"].as_str().unwrap_or_default().to_owned(),
            probes: probes.context("the smoke test has no file of probes")?.to_owned(),
            args,
            fails_at,
            tries: 1 + job.at("/spec/backoffLimit").as_u64().unwrap_or(BACKOFF_LIMIT),
        })
    }
}

/// A container's variables, those from a `ConfigMap` included.
fn variables(objects: &Objects, container: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let value = |variable: &Value| {
        let source = &variable["valueFrom"]["configMapKeyRef"];
        let from_map = || {
            let map = objects.find("ConfigMap", source["name"].as_str()?)?;
            map.at("/data")[source["key"].as_str()?].as_str()
        };
        let name = variable["name"].as_str()?;
        let value = variable["value"].as_str().or_else(from_map)?;
        Some((name.to_owned(), value.to_owned()))
    };
    let variables = list(&container["env"]);
    let read: Vec<_> = variables.iter().filter_map(value).collect();
    ensure!(read.len() == variables.len(), "a variable has no value that is known here");
    Ok(read)
}

#[cfg(test)]
mod tests {
    use contract::digest::Digest;

    use super::*;
    use crate::repo::Repo;

    /// As the staging overlay renders; the golden file leaves out what the probes are.
    fn manifests(change: impl Fn(&str) -> String) -> String {
        let golden = Repo::here().path("tests/golden/staging.yaml");
        let probes = "data: { probes.json: '{}' }";
        change(&fs_err::read_to_string(golden).unwrap().replace("data: …", probes))
    }

    fn released(text: &str) -> String {
        let zero = "0".repeat(64);
        text.replace(&format!("sha256:{zero}"), &Digest::of(b"image").to_string())
    }

    #[test]
    fn a_rendered_environment_says_what_to_run_and_how_to_test_it() {
        let wanted = Wanted::parse(&manifests(released)).unwrap();
        assert!(!wanted.is_unreleased());
        assert_eq!(wanted.template.image.digest(), Digest::of(b"image"));
        assert!(wanted.template.env.contains(&("DRAIN_PAUSE".to_owned(), "5s".to_owned())));
        assert_eq!(wanted.progress_deadline, Duration::from_mins(3));
        let smoke = &wanted.smoke;
        assert_eq!((smoke.fails_at.as_slice(), smoke.tries), (&[42, 43][..], 3));
        let here = smoke.against("http://127.0.0.1:1", Path::new("/here/probes.json"));
        assert_eq!(here[..4], ["smoke", "http://127.0.0.1:1", "--probes", "/here/probes.json"]);
        let digest = Digest::of(b"image").to_string();
        assert_eq!(
            here[6..],
            ["--expect-app-version", "unreleased", "--expect-model-digest", &digest]
        );
        assert_eq!(smoke.probes, "{}");
    }

    #[test]
    fn only_what_is_applied_makes_another_state() {
        let wanted = |change: fn(&str) -> String| Wanted::parse(&manifests(change)).unwrap();
        let unreleased = wanted(str::to_owned);
        assert!(unreleased.is_unreleased());
        assert!(!unreleased.is_same_state(&wanted(released)));
        let patient = |text: &str| text.replace("- 60s", "- 90s");
        assert_ne!(unreleased, wanted(patient));
        assert!(unreleased.is_same_state(&wanted(patient)), "a hook is not compared");
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for (from, to, mistake) in [
            ("hook: PostSync", "hook: Skip", "no single Job"),
            ("key: MODEL_DIGEST", "key: NOTHING", "a variable has no value"),
            ("- --probes", "- --pictures", "no file of probes"),
        ] {
            let error = Wanted::parse(&manifests(|text| text.replace(from, to))).unwrap_err();
            assert!(format!("{error:#}").contains(mistake), "{error:#}");
        }
    }
}
