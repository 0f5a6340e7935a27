//! [`Runner`]: takes a workflow's steps in order, with the expressions that ours use; one that it does not
//! know is a failure of the test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Map, Value, json};

use crate::scratch::Scratch;

/// What a runner has of others' programs, in a folder that is first on PATH. Each writes down how it was called.
const CARGO: &str = r#"#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
  build) ;;
  xtask) shift; name="$1"; shift; eval "flags=\${FLAGS_$name:-}"; exec "$XTASK" "$name" "$@" $flags ;;
  *) exit 99 ;;
esac
"#;
/// One issue may be open: the one that was made before.
const GH: &str = r#"#!/bin/sh
echo "gh $@" >> "$CALLS"
case "$2" in
  list) if [ -e "$ISSUES/1" ]; then echo 12; fi ;;
  create) while [ "$1" != --body-file ]; do shift; done; cp "$2" "$ISSUES/1" ;;
  comment) ;;
  *) exit 99 ;;
esac
"#;

/// No registry is logged in to here.
const DOCKER: &str = r#"#!/bin/sh
echo "docker $@" >> "$CALLS"
[ "$(cat)" = a-token ]
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
}

/// How a run of a workflow ended.
#[derive(Debug)]
pub(crate) struct Ended {
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

    #[track_caller]
    pub(crate) fn has(&self, words: &[&str]) {
        for word in words {
            assert!(self.commands.iter().any(|line| line.contains(word)), "{word}: {self:?}");
        }
    }
}

impl<'a> Runner<'a> {
    pub(crate) fn new(scratch: &'a Scratch) -> Self {
        let bin = scratch.path("bin");
        for folder in [&bin, &scratch.path("issues"), &scratch.path("temp")] {
            fs_err::create_dir_all(folder).unwrap();
        }
        for (name, text) in [("cargo", CARGO), ("gh", GH), ("docker", DOCKER)] {
            fs_err::write(bin.join(name), text).unwrap();
            run(command("chmod", &bin).args(["+x", name])).success();
        }
        Self { scratch, checkout: scratch.path("clone"), env: Vec::new() }
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

    pub(crate) fn checkout(&self) -> &Path {
        &self.checkout
    }

    pub(crate) fn issues(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.scratch.path("issues")).unwrap();
        entries.map(|entry| fs_err::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    pub(crate) fn run(&self, name: &str, inputs: &[(&str, &str)]) -> Ended {
        drop(fs_err::remove_file(self.scratch.path("calls")));
        let file = workflow(name);
        let inputs: Map<String, Value> =
            inputs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut job = Job {
            runner: self,
            env: file["env"].clone(),
            context: json!({
                "inputs": inputs,
                "github": { "token": "a-token" },
                "runner": { "os": "Linux", "temp": self.scratch.path("temp").display().to_string() },
                "vars": { "GITOPS_CLIENT_ID": "a-client" },
                "secrets": { "GITOPS_PRIVATE_KEY": "a-key" },
                "env": file["env"],
                "steps": { "bot": { "outputs": { "token": "a-bot" } } },
            }),
            said: String::new(),
            used: Vec::new(),
        };
        let jobs = file["jobs"].as_object().unwrap();
        assert_eq!(jobs.len(), 1, "{name}");
        let failed = jobs.values().find_map(|definition| job.take(&definition["steps"]).err());
        let calls = fs_err::read_to_string(self.scratch.path("calls")).unwrap_or_default();
        let commands = calls.lines().map(str::to_owned).collect();
        Ended { failed, commands, used: job.used, said: job.said }
    }
}

/// The steps of a job, or of an action of ours, which has a context of its own.
struct Job<'a> {
    runner: &'a Runner<'a>,
    env: Value,
    context: Value,
    said: String,
    used: Vec<(String, Map<String, Value>)>,
}

impl Job<'_> {
    /// The name of the step that failed.
    fn take(&mut self, steps: &Value) -> Result<(), String> {
        for step in steps.as_array().unwrap() {
            if step["if"].as_str().is_some_and(|condition| !self.holds(condition)) {
                continue;
            }
            match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(action), None) => self.r#use(action, step)?,
                (None, Some(script)) => self.execute(script, step)?,
                _ => panic!("{step}"),
            }
        }
        Ok(())
    }

    fn r#use(&mut self, action: &str, step: &Value) -> Result<(), String> {
        let Some(folder) = action.strip_prefix("./") else {
            // Somebody else's: what it is given must make sense all the same.
            let name = action.split_once('@').unwrap().0.to_owned();
            self.used.push((name, self.with(step)));
            return Ok(());
        };
        let action = read(&repo::root().join(folder).join("action.yml"));
        let mut inputs = self.with(step);
        for (name, input) in action["inputs"].as_object().unwrap() {
            if !inputs.contains_key(name) {
                assert_ne!(input["required"], true, "{folder} needs `{name}`");
                inputs.insert(name.clone(), input["default"].clone());
            }
        }
        let mut context = self.context.clone();
        context["inputs"] = Value::Object(inputs);
        context["steps"] = json!({});
        let (runner, env) = (self.runner, self.env.clone());
        let mut inner = Job { runner, env, context, said: String::new(), used: Vec::new() };
        let ended = inner.take(&action["runs"]["steps"]);
        self.said.push_str(&inner.said);
        self.used.extend(inner.used);
        ended
    }

    fn with(&self, step: &Value) -> Map<String, Value> {
        let given = step["with"].as_object().cloned().unwrap_or_default();
        let expand = |(name, value): (String, Value)| {
            let value = value.as_str().map_or(value.clone(), |text| json!(self.expand(text)));
            (name, value)
        };
        given.into_iter().map(expand).collect()
    }

    fn execute(&mut self, script: &str, step: &Value) -> Result<(), String> {
        let path = |name: &str| self.runner.scratch.path(name);
        let output = path("temp").join("output");
        fs_err::write(&output, "").unwrap();
        let mut bash = command("bash", &self.runner.checkout);
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        let inherited = std::env::var_os("PATH").unwrap();
        let path_variable = [path("bin").into_os_string(), inherited].join(":".as_ref());
        bash.env("PATH", path_variable);
        bash.env("XTASK", repo::xtask()).env("CALLS", path("calls")).env("ISSUES", path("issues"));
        bash.env("RUNNER_TEMP", path("temp")).env("GITHUB_OUTPUT", &output);
        bash.env("GITHUB_STEP_SUMMARY", path("temp").join("summary")).env("RETRY_AFTER", "0");
        bash.env("GITHUB_SERVER_URL", "https://example.org").env("GITHUB_REPOSITORY", "o/r");
        bash.env("GITHUB_RUN_ID", "7").env("GITHUB_ACTOR", "a-person");
        bash.env("DOCKER_CONFIG", path("temp"));
        for own in ["XTASK_HOME", "XTASK_CLONE", "XTASK_REMOTE", "http_proxy", "HTTP_PROXY"] {
            bash.env_remove(own);
        }
        bash.envs(self.runner.env.iter().map(|(name, value)| (name, value)));
        for env in [&self.env, &step["env"]] {
            for (name, value) in env.as_object().into_iter().flatten() {
                bash.env(name, self.expand(value.as_str().unwrap()));
            }
        }
        let ended = run(&mut bash);
        write!(self.said, "{}{}", ended.stdout, ended.stderr).unwrap();
        if let Some(id) = step["id"].as_str() {
            let outputs = fs_err::read_to_string(&output).unwrap();
            let pair = |line: &str| {
                let (name, value) = line.split_once('=').unwrap();
                (name.to_owned(), json!(value))
            };
            let outputs: Map<String, Value> = outputs.lines().map(pair).collect();
            self.context["steps"][id] = json!({ "outputs": outputs });
        }
        if ended.code == Some(0) {
            return Ok(());
        }
        Err(step["name"].as_str().unwrap_or(script).to_owned())
    }

    fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").unwrap();
            expanded.push_str(before);
            expanded.push_str(&self.value(expression.trim()));
            rest = after;
        }
        expanded + rest
    }

    /// `NAME.NAME…`, a text in quotes, or a function whose result no `run:` sees.
    fn value(&self, expression: &str) -> String {
        if let Some(text) = expression.strip_prefix('\'') {
            return text.strip_suffix('\'').unwrap().to_owned();
        }
        if expression.starts_with("hashFiles(") {
            return "a-hash".to_owned();
        }
        let pointer = format!("/{}", expression.replace('.', "/"));
        let value = self.context.pointer(&pointer);
        value.and_then(Value::as_str).unwrap_or_else(|| panic!("`{expression}`")).to_owned()
    }

    fn holds(&self, condition: &str) -> bool {
        let compare = |(left, right): (&str, &str)| self.value(left) == self.value(right);
        match (condition.split_once(" == "), condition.split_once(" != ")) {
            (Some(sides), None) => compare(sides),
            (None, Some(sides)) => !compare(sides),
            _ => panic!("`{condition}`"),
        }
    }
}
