//! [`Trigger`]: why a model is trained anew, and where. An alert that fires is reason enough: which ones come here is
//! said where Alertmanager routes them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;

use crate::deliver::ending::{Ending, Stop};
use crate::download;
use crate::report::{WithHint, step};

#[derive(clap::Args)]
pub(super) struct Trigger {
    /// Message of Alertmanager's webhook, `-` is stdin: where none of its alerts fires, nothing is done
    #[arg(long, value_name = "FILE")]
    alert: Option<PathBuf>,
    /// Have it done there, and nothing here: `…/actions/workflows/retrain.yml/dispatches` of GitHub's API
    #[arg(long, env = "XTASK_DISPATCH", value_name = "URL")]
    dispatch: Option<String>,
    /// May start that workflow, and needs to do no more
    #[arg(long, env = "XTASK_DISPATCH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    dispatch_token: Option<String>,
}

/// Of <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config> what is needed here.
#[derive(Deserialize)]
struct Message {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    status: String,
    labels: Labels,
}

#[derive(Deserialize)]
struct Labels {
    alertname: String,
}

impl Trigger {
    /// Whether a model is to be trained here and now.
    pub(super) fn pull(&self) -> Result<bool, Stop> {
        if let Some(file) = &self.alert {
            let firing = firing(&read(file)?)?;
            if firing.is_empty() {
                step("nothing to do: no alert fires");
                return Ok(false);
            }
            step(format_args!("firing: {}", firing.join(", ")));
        }
        match self.dispatch.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => self.start(url).map(|()| false),
            None => Ok(true),
        }
    }

    fn start(&self, url: &str) -> Result<(), Stop> {
        let token = self.dispatch_token.as_deref().filter(|token| !token.is_empty());
        let token = token.context("no token to start the workflow with").hint(
            "XTASK_DISPATCH_TOKEN: a fine-grained token with Actions: read and write on the repository",
        )?;
        let asked = download::agent()
            .post(url)
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/vnd.github+json")
            .content_type("application/json")
            .send(json!({ "ref": "main" }).to_string());
        let hint = "is XTASK_DISPATCH a workflow's dispatches, and may the token start it?";
        let status = match asked {
            Ok(answer) => answer.status(),
            Err(error) => return Err(Stop::new(Ending::TryAgain, error, hint)),
        };
        if status.is_success() {
            step("started the workflow");
            return Ok(());
        }
        let is_passing = status.is_server_error() || status.as_u16() == 429;
        let ending = if is_passing { Ending::TryAgain } else { Ending::Failed };
        Err(Stop::new(ending, anyhow::anyhow!("the workflow was not started: {status}"), hint))
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file != Path::new("-") {
        return Ok(fs_err::read_to_string(file)?);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading the alert from stdin")?;
    Ok(text)
}

fn firing(message: &str) -> Result<Vec<String>, Stop> {
    let message: Message = serde_json::from_str(message).map_err(|error| {
        let hint =
            "Alertmanager's `webhook_configs` sends one; monitoring/alertmanager.yml shows how";
        Stop::new(Ending::Misused, anyhow::anyhow!("no message of Alertmanager's: {error}"), hint)
    })?;
    let firing = message.alerts.into_iter().filter(|alert| alert.status == "firing");
    Ok(firing.map(|alert| alert.labels.alertname).collect())
}
