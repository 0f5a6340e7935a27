//! [`Report`]: what is accepted, read only as far as its handling needs: for which environment it is, and
//! by which command it is handled. What it means, `xtask` decides by looking at Git.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) id: Id,
    pub(crate) environment: String,
    kind: Kind,
    /// As it came: what is handled is what was sent.
    pub(crate) body: String,
}

/// Digest of the body: two reports with the same are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(String);

impl Id {
    fn of(body: &str) -> Self {
        Self(
            Sha256::digest(body)
                .iter()
                .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")),
        )
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deployed,
    Other,
    /// What Alertmanager sends. Which alerts are sent is decided there.
    Alerts,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// What the templates post to GitHub.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispatch {
    r#ref: String,
    inputs: Inputs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    report: String,
}

#[derive(Deserialize)]
struct Envelope {
    event_type: String,
    client_payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    env: String,
}

/// Of Alertmanager's webhook.
#[derive(Deserialize)]
struct Message {
    version: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "they are there, or it is no alert")]
struct Alert {
    status: String,
    labels: HashMap<String, String>,
}

/// In place of an environment's name: one is handled at a time.
const ALERTS: &str = "alerts";

impl Report {
    /// The body of a workflow's dispatch.
    pub(crate) fn of_dispatch(json: &[u8]) -> Result<Self, Unreadable> {
        let wrong = r#"the body is not {"ref":"main","inputs":{"report":"…"}}"#;
        let dispatch: Dispatch =
            serde_json::from_slice(json).map_err(|_error| Unreadable(wrong))?;
        if dispatch.r#ref != "main" {
            return Err(Unreadable("`ref` is not main, and nothing else decides what runs"));
        }
        Self::new(dispatch.inputs.report)
    }

    /// The report itself.
    pub(crate) fn bare(json: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(json).map_err(|_error| Unreadable("it is not UTF-8"))?;
        Self::new(text.to_owned())
    }

    /// What Alertmanager sends to a webhook.
    pub(crate) fn of_alerts(json: &[u8]) -> Result<Self, Unreadable> {
        let wrong = "the body is no message of Alertmanager's webhook, version 4";
        let message: Message = serde_json::from_slice(json).map_err(|_error| Unreadable(wrong))?;
        if message.version != "4" || message.alerts.is_empty() {
            return Err(Unreadable(wrong));
        }
        let body = std::str::from_utf8(json).map_err(|_error| Unreadable("it is not UTF-8"))?;
        let (id, environment) = (Id::of(body), ALERTS.to_owned());
        Ok(Self { id, environment, kind: Kind::Alerts, body: body.to_owned() })
    }

    /// Of whatever was accepted.
    pub(crate) fn kept(json: &[u8]) -> Result<Self, Unreadable> {
        Self::bare(json).or_else(|wrong| Self::of_alerts(json).map_err(|_alerts| wrong))
    }

    fn new(body: String) -> Result<Self, Unreadable> {
        let wrong = "the report is not JSON with `event_type` and `client_payload.env`";
        let read: Envelope = serde_json::from_str(&body).map_err(|_error| Unreadable(wrong))?;
        let environment = read.client_payload.env;
        if environment.is_empty() {
            return Err(Unreadable("no environment: label the Application with `env`"));
        }
        // That of a namespace: it is a line of a log and, should anybody think so, a name of a file.
        let is_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_alphanumeric() || byte == b'-';
        if environment.len() > 63 || !environment.bytes().all(is_name) {
            return Err(Unreadable("`client_payload.env` is not the name of an environment"));
        }
        let kind = match read.event_type.as_str() {
            "argocd-release-deployed" => Kind::Deployed,
            _ => Kind::Other,
        };
        Ok(Self { id: Id::of(&body), environment, kind, body })
    }

    /// The command that handles it, as the workflow of the same name runs it. It reads the report itself.
    pub(crate) fn arguments(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Deployed => &["deployed", "--event", "-"],
            Kind::Other => &["rollback", "--auto", "--event", "-"],
            Kind::Alerts => &["retrain", "--alert", "-"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str =
        r#"{"event_type":"argocd-release-failed","client_payload":{"env":"staging"}}"#;

    #[test]
    fn a_report_is_the_same_however_it_came() {
        let body = serde_json::json!({ "ref": "main", "inputs": { "report": REPORT } }).to_string();
        let dispatched = Report::of_dispatch(body.as_bytes()).unwrap();
        assert_eq!(Report::bare(REPORT.as_bytes()).unwrap(), dispatched);
        assert_eq!(dispatched.arguments()[0], "rollback");
        let deployed = Report::bare(REPORT.replace("failed", "deployed").as_bytes()).unwrap();
        assert_eq!(deployed.arguments()[0], "deployed");
    }

    #[test]
    fn what_alertmanager_sends_is_handled_by_another_command() {
        let alert = r#"{"status":"firing","labels":{"alertname":"InputsDrift"}}"#;
        let message = format!(r#"{{"version":"4","status":"firing","alerts":[{alert}]}}"#);
        let report = Report::of_alerts(message.as_bytes()).unwrap();
        assert_eq!(report.arguments()[0], "retrain");
        assert_eq!(Report::kept(message.as_bytes()).unwrap(), report);
        assert!(Report::bare(message.as_bytes()).is_err());
        for wrong in [
            "[]".to_owned(),
            REPORT.to_owned(),
            message.replace("\"4\"", "\"5\""),
            message.replace(alert, ""),
            message.replace("labels", "label"),
        ] {
            assert!(Report::of_alerts(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_names_no_environment_is_no_report() {
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"event_type":"argocd-release-failed","client_payload":{}}"#,
            &REPORT.replace("staging", ""),
            &REPORT.replace("staging", "../staging"),
            &REPORT.replace("staging", "two\\nlines"),
            &REPORT.replace("staging", &"s".repeat(64)),
        ] {
            assert!(Report::bare(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for wrong in [
            REPORT.to_owned(),
            serde_json::json!({ "ref": "topic", "inputs": { "report": REPORT } }).to_string(),
            serde_json::json!({ "ref": "main", "inputs": { "report": {} } }).to_string(),
            serde_json::json!({ "ref": "main", "inputs": { "reason": "mine" } }).to_string(),
        ] {
            assert!(Report::of_dispatch(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
