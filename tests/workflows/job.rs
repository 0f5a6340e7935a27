//! [`Job`]: one after the other, steps and those of our actions.

use std::fmt::Write as _;

use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Map, Value, json};

use super::{Ended, Runner, read, registry};
use crate::expressions::Expressions;

/// The steps of a job, or of an action of ours, which has a context of its own.
pub(super) struct Job<'a> {
    pub(super) runner: &'a Runner<'a>,
    pub(super) env: Value,
    pub(super) expressions: Expressions,
    pub(super) ended: Ended,
}

/// Of somebody else's action.
fn outputs(step: &Value) -> Value {
    match step["uses"].as_str().and_then(|action| action.split_once('@')) {
        Some(("actions/create-github-app-token", _)) => json!({ "token": "a-bot" }),
        Some(("aws-actions/configure-aws-credentials", _)) => json!({
            "aws-access-key-id": "a-role's id",
            "aws-secret-access-key": "a-role's key",
            "aws-session-token": "a-role's token",
        }),
        _ => json!({}),
    }
}

fn empty(outputs: &Value) -> Value {
    outputs.as_object().into_iter().flatten().map(|(name, _)| (name.clone(), Value::Null)).collect()
}

impl Job<'_> {
    /// The name of the step that failed.
    pub(super) fn take(&mut self, steps: &Value) -> Result<(), String> {
        for step in steps.as_array().unwrap() {
            let condition = step["if"].as_str();
            if condition.is_some_and(|condition| !self.expressions.holds(condition)) {
                // Whoever asks it gets nothing, which is empty where it is text.
                self.give(step, &empty(&outputs(step)));
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
            self.give(step, &outputs(step));
            self.ended.used.push((name, self.with(step)));
            return Ok(());
        };
        let action = read(&repo::root().join(folder).join("action.yml"));
        let mut inputs = self.with(step);
        for name in inputs.keys() {
            assert!(action["inputs"].get(name).is_some(), "{folder} knows no `{name}`");
        }
        for (name, input) in action["inputs"].as_object().unwrap() {
            if !inputs.contains_key(name) {
                assert_ne!(input["required"], true, "{folder} needs `{name}`");
                inputs.insert(name.clone(), input["default"].clone());
            }
        }
        let mut context = self.expressions.0.clone();
        context["inputs"] = Value::Object(inputs);
        context["steps"] = json!({});
        // An action sees no secret but what it is given.
        context["secrets"] = json!({});
        let expressions = Expressions(context);
        let ended = std::mem::take(&mut self.ended);
        let mut env = self.env.clone();
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            env[name] = json!(self.expressions.expand(value.as_str().unwrap()));
        }
        let mut inner = Job { runner: self.runner, env, expressions, ended };
        let result = inner.take(&action["runs"]["steps"]);
        let values = action["outputs"].as_object().into_iter().flatten();
        let values = values.map(|(name, output)| (name.clone(), output["value"].clone())).collect();
        let outputs = if result.is_ok() { inner.outputs(&values) } else { json!({}) };
        self.ended = inner.ended;
        self.give(step, &outputs);
        result
    }

    fn give(&mut self, step: &Value, outputs: &Value) {
        if let Some(id) = step["id"].as_str() {
            self.expressions.0["steps"][id] = json!({ "outputs": outputs });
        }
    }

    pub(super) fn outputs(&self, expressions: &Value) -> Value {
        let each = expressions.as_object().into_iter().flatten();
        each.map(|(name, text)| {
            (name.clone(), json!(self.expressions.expand(text.as_str().unwrap())))
        })
        .collect()
    }

    fn with(&self, step: &Value) -> Map<String, Value> {
        let given = step["with"].as_object().cloned().unwrap_or_default();
        let expand = |(name, value): (String, Value)| {
            let value =
                value.as_str().map_or(value.clone(), |text| json!(self.expressions.expand(text)));
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
        bash.env("GITHUB_PATH", path("temp").join("path")).env("DOWNLOADS", path("downloads"));
        bash.env("GITHUB_SERVER_URL", "https://example.org").env("GITHUB_REPOSITORY", "o/r");
        bash.env("GITHUB_RUN_ID", "7").env("GITHUB_ACTOR", "a-person");
        bash.env("DOCKER_CONFIG", path("temp")).env("REGISTRY", registry());
        for own in ["XTASK_HOME", "XTASK_CLONE", "XTASK_REMOTE", "http_proxy", "HTTP_PROXY"] {
            bash.env_remove(own);
        }
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|kind| name.starts_with(kind)) {
                bash.env_remove(&*name);
            }
        }
        bash.envs(self.runner.env.iter().map(|(name, value)| (name, value)));
        for env in [&self.env, &step["env"]] {
            for (name, value) in env.as_object().into_iter().flatten() {
                bash.env(name, self.expressions.expand(value.as_str().unwrap()));
            }
        }
        let ended = run(&mut bash);
        write!(self.ended.said, "{}{}", ended.stdout, ended.stderr).unwrap();
        let outputs = fs_err::read_to_string(&output).unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), json!(value))
        };
        self.give(step, &outputs.lines().map(pair).collect());
        if ended.code == Some(0) {
            return Ok(());
        }
        Err(step["name"].as_str().unwrap_or(script).to_owned())
    }
}
