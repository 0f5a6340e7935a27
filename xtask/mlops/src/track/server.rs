//! [`Server`]: MLflow's REST API 2.0, as JSON calls. Each is tried once and never waits long; who calls decides
//! whether it is worth another try.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fs_err::File;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, Uri};
use ureq::{Body, SendBody};

const API: &str = "/api/2.0/mlflow";
const ARTIFACTS: &str = "/api/2.0/mlflow-artifacts/artifacts";
/// A large file on a slow line.
const UPLOAD_WITHIN: Duration = Duration::from_mins(10);
/// Between tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Address {
    /// Where the server is: http(s)://HOST:PORT, with its prefix if it has one
    #[arg(long, env = "MLFLOW_TRACKING_URI", value_name = "URL", value_parser = address)]
    tracking_uri: Uri,
    #[command(flatten)]
    caller: Caller,
}

/// Who asks, and for how long, by the variables of MLflow's own client.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Caller {
    /// Seconds that a request may take; the upload of a file may take ten minutes
    #[arg(long, env = "MLFLOW_HTTP_REQUEST_TIMEOUT", value_name = "SECONDS", default_value = "10")]
    #[arg(value_parser = seconds)]
    request_timeout: u64,
    #[arg(long, env = "MLFLOW_TRACKING_USERNAME", hide = true)]
    username: Option<String>,
    #[arg(long, env = "MLFLOW_TRACKING_PASSWORD", hide = true, hide_env_values = true)]
    password: Option<String>,
    #[arg(long, env = "MLFLOW_TRACKING_TOKEN", hide = true, hide_env_values = true)]
    token: Option<String>,
}

/// A variable that is set to nothing is none.
fn seconds(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(10);
    }
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| "not between 1 and 3600".to_owned())
}

pub(super) fn address(text: &str) -> Result<Uri, String> {
    if !(text.starts_with("http://") || text.starts_with("https://")) {
        return Err("not http(s)://…; start a server on that store (`mlflow server --backend-store-uri …`), and \
                    name the server"
            .to_owned());
    }
    let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("a password in it would be told to whoever lists processes; set MLFLOW_TRACKING_USERNAME and \
                    MLFLOW_TRACKING_PASSWORD"
            .to_owned());
    }
    Ok(uri)
}

pub(crate) struct Server {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("MLflow at {base} does not answer: {error}")]
    Unreachable { base: String, error: Box<ureq::Error> },
    #[error("MLflow at {base} answered {call} with {status}: {message}{}", hint(*status, message))]
    Refused { base: String, call: String, status: u16, code: String, message: String },
    #[error("MLflow at {base} answered {call} with something else than was asked for: {error}")]
    Odd { base: String, call: String, error: serde_json::Error },
}

fn hint(status: u16, message: &str) -> &'static str {
    match status {
        401 | 403 if message.contains("Host") => {
            "\n\nhint: the server does not know itself by this name: start it with `--allowed-hosts`"
        }
        401 | 403 => {
            "\n\nhint: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        }
        _ => "",
    }
}

/// What another try may mend.
pub(crate) trait Passing {
    fn is_passing(&self) -> bool;
}

impl Passing for ServerError {
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Odd { .. } => false,
        }
    }
}

impl ServerError {
    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// What MLflow says of a failure; a proxy before it, or its front, says something else.
#[derive(Deserialize)]
struct Failure {
    error_code: String,
    message: String,
}

impl Server {
    pub(crate) fn at(address: &Address) -> Self {
        Self::of(&address.tracking_uri, &address.caller)
    }

    pub(super) fn of(uri: &Uri, caller: &Caller) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(caller.request_timeout)))
            .user_agent("mlops")
            .build()
            .into();
        let authorization = match caller {
            Caller { username: Some(name), password: Some(password), .. } => {
                Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}"))))
            }
            Caller { token: Some(token), .. } => Some(format!("Bearer {token}")),
            _ => None,
        };
        let base = uri.to_string().trim_end_matches('/').to_owned();
        Self { agent, base, authorization }
    }

    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ServerError> {
        let mut request = self.agent.get(format!("{}{API}/{call}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.answer(call, request.query_pairs(query.iter().copied()).call())
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        call: &str,
        body: &Value,
    ) -> Result<T, ServerError> {
        let request = self.agent.post(format!("{}{API}/{call}", self.base));
        self.answer(call, self.json(request).send(body.to_string()))
    }

    pub(crate) fn delete(&self, call: &str, body: &Value) -> Result<(), ServerError> {
        let request = self.agent.delete(format!("{}{API}/{call}", self.base)).force_send_body();
        self.answer::<Value>(call, self.json(request).send(body.to_string())).map(drop)
    }

    /// `path` is what follows `mlflow-artifacts:` in a run's address, and each segment is escaped.
    pub(crate) fn put(&self, path: &str, file: File) -> Result<(), ServerError> {
        let mut request = self
            .agent
            .put(format!("{}{ARTIFACTS}/{}", self.base, path.trim_start_matches('/')))
            .config()
            .timeout_global(Some(UPLOAD_WITHIN))
            .build()
            .header("content-type", "application/octet-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let sent = request.send(SendBody::from_owned_reader(file));
        self.text("PUT of an artifact", sent).map(drop)
    }

    fn json<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        // Nothing behind it: MLflow refuses `; charset=utf-8`.
        let request = request.header("content-type", "application/json");
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn answer<T: DeserializeOwned>(
        &self,
        call: &str,
        answered: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, ServerError> {
        let text = self.text(call, answered)?;
        serde_json::from_str(&text).map_err(|error| ServerError::Odd {
            base: self.base.clone(),
            call: call.to_owned(),
            error,
        })
    }

    fn text(
        &self,
        call: &str,
        answered: Result<Response<Body>, ureq::Error>,
    ) -> Result<String, ServerError> {
        let unreachable =
            |error| ServerError::Unreachable { base: self.base.clone(), error: Box::new(error) };
        let mut response = answered.map_err(unreachable)?;
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(text);
        }
        let failure = serde_json::from_str(&text).unwrap_or_else(|_| Failure {
            error_code: String::new(),
            message: text.lines().next().unwrap_or_default().chars().take(200).collect(),
        });
        Err(ServerError::Refused {
            base: self.base.clone(),
            call: call.to_owned(),
            status: response.status().as_u16(),
            code: failure.error_code,
            message: failure.message,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Tries again what may pass. `act` must do no harm when done twice.
pub(crate) fn patiently<T, E: Passing>(mut act: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for pause in PAUSES {
        match act() {
            Err(error) if error.is_passing() => sleep(pause),
            done => return done,
        }
    }
    act()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_that_can_be_asked_and_told_is_taken() {
        for good in ["http://127.0.0.1:5000", "https://ml.example/prefix"] {
            assert_eq!(address(good).unwrap().to_string().trim_end_matches('/'), good);
        }
        for (bad, told) in [
            ("sqlite:///mlflow.db", "mlflow server --backend-store-uri"),
            ("./mlruns", "mlflow server --backend-store-uri"),
            ("databricks", "mlflow server --backend-store-uri"),
            ("http://me:secret@ml.example", "MLFLOW_TRACKING_PASSWORD"),
        ] {
            let error = address(bad).unwrap_err();
            assert!(error.contains(told) && !error.contains("secret"), "{bad}: {error}");
        }
    }
}
