//! [`Runner`]: takes the jobs of a workflow and their steps in order.

#[path = "job.rs"]
mod job;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Map, Value, json};

use self::job::Job;
use crate::expressions::Expressions;
use crate::scratch::{self, Scratch};

/// What a runner has of others' programs, in a folder that is first on PATH. Each writes down how it was called.
/// What `flags` of a command name stands right behind it. Credentials of a remote are told by whom they are seen.
const CARGO: &str = r#"#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
  build) ;;
  xtask)
    name="$2"; words="$2"; shift 2
    if [ "$name" = image ]; then name="image_$1"; words="image $1"; shift; fi
    eval "flags=\${FLAGS_$name:-}"
    env | sed -n "s/^\(AWS\|AZURE\|GOOGLE\)_/$name sees &/p" | sort >> "$CALLS"
    exec "$XTASK" $words $flags "$@" ;;
  install) ;;
  # What it is built from, which nobody can say for it.
  tree) exec "$CARGO" "$@" ;;
  deny) echo "${ADVISORY:-advisories ok}"; [ -z "${ADVISORY:-}" ] ;;
  *) exit 99 ;;
esac
"#;
/// One issue may be open: the one that was made before. It shows the last that we wrote there.
const GH: &str = r#"#!/bin/sh
echo "gh $@" >> "$CALLS"
body() { while [ "$1" != --body-file ]; do shift; done; cp "$2" "$ISSUES/last"; }
case "$2" in
  list) if [ -e "$ISSUES/1" ]; then echo 12; fi ;;
  create) body "$@"; cp "$ISSUES/last" "$ISSUES/1" ;;
  comment) body "$@" ;;
  view) cat "$ISSUES/last" ;;
  *) exit 99 ;;
esac
"#;

/// What it is logged in to is the tests' registry, whatever its name.
const DOCKER: &str = r#"#!/bin/sh
echo "docker $@" >> "$CALLS"
[ "$1" = login ] && [ "$(cat)" = a-token ] || exit 1
auth="$(printf 'a-person:a-token' | base64)"
printf '{"auths":{"%s":{"auth":"%s"}}}' "$REGISTRY" "$auth" > "$DOCKER_CONFIG/config.json"
"#;

/// From the folder of the one that it is asked for.
const CURL: &str = r#"#!/bin/sh
echo "curl $@" >> "$CALLS"
for last; do :; done
cp "$DOWNLOADS/${last##*/}" .
"#;

pub(crate) fn workflow(name: &str) -> Value {
    read(&repo::root().join(format!(".github/workflows/{name}.yml")))
}

fn read(path: &Path) -> Value {
    serde_yaml::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

pub(crate) struct Runner<'a> {
    scratch: &'a Scratch,
    checkout: PathBuf,
    env: Vec<(String, String)>,
    /// Variables and secrets of the repository, all that workflows know of. Empty where nobody set them.
    settings: Map<String, Value>,
}

/// Named so by GitHub's expressions.
const VARIABLES: [&str; 4] =
    ["GITOPS_CLIENT_ID", "MLFLOW_TRACKING_URI", "AWS_ROLE_ARN", "AWS_REGION"];
const SECRETS: [&str; 5] = [
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// How a run of a workflow ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Those that were not skipped.
    pub(crate) jobs: Vec<String>,
    /// Name of the step that failed; the steps after it were not taken.
    pub(crate) failed: Option<String>,
    /// What was called, a line each.
    pub(crate) commands: Vec<String>,
    /// Actions of others, with what they were given.
    pub(crate) used: Vec<(String, Map<String, Value>)>,
    said: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn succeeds(&self) {
        assert_eq!(self.failed, None, "{}", self.said);
    }

    pub(crate) fn called(&self, words: &str) -> bool {
        self.commands.iter().any(|line| line.contains(words))
    }

    #[track_caller]
    pub(crate) fn has(&self, words: &[&str]) {
        for word in words {
            assert!(self.called(word), "{word}: {self:?}");
        }
    }
}

impl<'a> Runner<'a> {
    pub(crate) fn new(scratch: &'a Scratch) -> Self {
        let bin = scratch.path("bin");
        for folder in [&bin, &scratch.path("issues"), &scratch.path("temp")] {
            fs_err::create_dir_all(folder).unwrap();
        }
        for (name, text) in [("cargo", CARGO), ("gh", GH), ("docker", DOCKER), ("curl", CURL)] {
            fs_err::write(bin.join(name), text).unwrap();
            run(command("chmod", &bin).args(["+x", name])).success();
        }
        let checkout = scratch.path("clone");
        repo::copy(&repo::root().join(".github"), &checkout.join(".github"));
        let empty =
            |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!(""))).collect();
        let mut settings = Map::new();
        settings.insert("vars".to_owned(), empty(&VARIABLES));
        settings.insert("secrets".to_owned(), empty(&SECRETS));
        Self { scratch, checkout, env: Vec::new(), settings }
            .set("vars.GITOPS_CLIENT_ID", "a-client")
    }

    /// In the checkout that the tests run in, where there is something to build; `flags` keep from there what
    /// `xtask` makes.
    pub(crate) fn building(scratch: &'a Scratch, flags: &[(&str, String)]) -> Self {
        let mut runner = Self::new(scratch);
        runner.checkout = repo::root();
        let flag = |(name, words): &(&str, String)| (format!("FLAGS_{name}"), words.clone());
        runner.env.extend(flags.iter().map(flag));
        let home = scratch.path("home").display().to_string();
        runner.env.push(("XTASK_HOME".to_owned(), home));
        runner
    }

    /// With one more variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a variable or a secret of the repository, named as in an expression.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        let (kind, name) = name.split_once('.').unwrap();
        let known = self.settings[kind].get_mut(name);
        *known.unwrap_or_else(|| panic!("no workflow knows {kind}.{name}")) = json!(value);
        self
    }

    pub(crate) fn checkout(&self) -> &Path {
        &self.checkout
    }

    pub(crate) fn issues(&self) -> Vec<String> {
        fs_err::read_to_string(self.scratch.path("issues/1")).into_iter().collect()
    }

    pub(crate) fn run(&self, name: &str, inputs: &[(&str, &str)]) -> Ended {
        self.run_job(name, inputs, |_| true)
    }

    /// The jobs that `wanted` names, each after those that it needs.
    pub(crate) fn run_job(
        &self,
        name: &str,
        inputs: &[(&str, &str)],
        wanted: impl Fn(&str) -> bool,
    ) -> Ended {
        drop(fs_err::remove_file(self.scratch.path("calls")));
        let file = workflow(name);
        let inputs: Map<String, Value> =
            inputs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut ended = Ended::default();
        let mut needs = Map::new();
        let mut before = BTreeSet::new();
        let mut left: Vec<_> =
            file["jobs"].as_object().unwrap().iter().filter(|(job, _)| wanted(job)).collect();
        while !left.is_empty() {
            let is_next = |(_, definition): &(&String, &Value)| {
                names(&definition["needs"]).iter().all(|needed| before.contains(needed))
            };
            let place = left.iter().position(is_next).unwrap_or_else(|| panic!("{name}: {left:?}"));
            let (job, definition) = left.remove(place);
            before.insert(job.clone());
            if names(&definition["needs"]).iter().any(|needed| !needs.contains_key(needed)) {
                continue;
            }
            let expressions =
                self.expressions(&file, definition, json!({ "inputs": inputs, "needs": needs }));
            if definition["if"].as_str().is_some_and(|condition| !expressions.holds(condition)) {
                continue;
            }
            // A machine of its own, where nobody has logged in.
            drop(fs_err::remove_file(self.scratch.path("temp/config.json")));
            let env = file["env"].clone();
            let mut job_run = Job { runner: self, env, expressions, ended };
            job_run.ended.jobs.push(job.clone());
            let failed = job_run.take(&definition["steps"]).err();
            needs
                .insert(job.clone(), json!({ "outputs": job_run.outputs(&definition["outputs"]) }));
            ended = job_run.ended;
            ended.failed = failed;
            if ended.failed.is_some() {
                break;
            }
        }
        ended.commands = calls(self.scratch);
        ended
    }

    /// Steps of a workflow that has others which are not for a test, in a job's context with `given` in it.
    pub(crate) fn take(&self, name: &str, wanted: &[&str], given: Value) -> Ended {
        drop(fs_err::remove_file(self.scratch.path("calls")));
        let file = workflow(name);
        let is_wanted =
            |step: &&Value| step["name"].as_str().is_some_and(|name| wanted.contains(&name));
        let mut jobs = file["jobs"].as_object().unwrap().values();
        let steps = |job: &Value| {
            job["steps"].as_array().unwrap().iter().filter(is_wanted).cloned().collect()
        };
        let found = jobs.find_map(|job| {
            Some((job, steps(job))).filter(|(_, steps): &(_, Vec<Value>)| !steps.is_empty())
        });
        let (definition, steps) = found.unwrap_or_else(|| panic!("{name}: {wanted:?}"));
        assert_eq!(steps.len(), wanted.len(), "{name}: {wanted:?}");
        let expressions = self.expressions(&file, definition, given);
        let (env, ended) = (file["env"].clone(), Ended::default());
        let mut job = Job { runner: self, env, expressions, ended };
        job.ended.failed = job.take(&json!(steps)).err();
        Ended { commands: calls(self.scratch), ..job.ended }
    }

    /// What names stand for in a job, with `given` beside what all jobs have.
    fn expressions(&self, file: &Value, definition: &Value, given: Value) -> Expressions {
        let mut secrets = self.settings["secrets"].clone();
        // The key is in an Environment, and nobody outside of it sees one.
        if definition["environment"] == "gitops" {
            secrets["GITOPS_PRIVATE_KEY"] = json!("a-key");
        }
        let mut context = json!({
            "github": {
                "token": token(&definition["permissions"]),
                "workspace": self.checkout.display().to_string(),
            },
            "runner": { "os": "Linux", "temp": self.scratch.path("temp").display().to_string() },
            "vars": self.settings["vars"],
            "secrets": secrets,
            "matrix": first_of_each(&definition["strategy"]["matrix"]),
            "env": file["env"],
            "steps": {},
        });
        let Value::Object(given) = given else { panic!("{given}") };
        context.as_object_mut().unwrap().extend(given);
        Expressions(context)
    }
}

fn calls(scratch: &Scratch) -> Vec<String> {
    let calls = fs_err::read_to_string(scratch.path("calls")).unwrap_or_default();
    calls.lines().map(str::to_owned).collect()
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        name => name.as_str().map(str::to_owned).into_iter().collect(),
    }
}

/// That of the tests' images.
fn registry() -> String {
    scratch::pin("1.0.0").image.repository().split('/').next().unwrap().to_owned()
}

/// Of the job. The registry knows one that may read packages.
fn token(permissions: &Value) -> &'static str {
    if permissions["packages"].is_string() { "a-token" } else { "a-token-for-no-packages" }
}

fn first_of_each(matrix: &Value) -> Value {
    let pairs = matrix.as_object().into_iter().flatten();
    pairs.map(|(name, values)| (name.clone(), values[0].clone())).collect()
}
