//! [`Client`]: one picture, one connection, one answer that has been looked at from all sides.

use std::time::Duration;

use contract::digest::Digest;
use contract::image::Image;
use contract::prediction::{Label, Prediction, Scores};
use serde::{Deserialize, Serialize};
use serde_json::json;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};

use crate::access::API_KEY;
use crate::identity::{APP_VERSION, MODEL_DIGEST, MODEL_VERSION};

const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    url: String,
    classes: usize,
    key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    pub app_version: String,
    pub model_version: String,
    pub model_digest: Digest,
}

#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) identity: Identity,
    pub(super) label: Label,
    pub(super) name: String,
}

#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    /// The service was not reached, or had no room: says nothing about it.
    #[error("{0}")]
    Way(String),
    /// The service answered, and not as it should.
    #[error("{0}")]
    Service(String),
}

/// As much of a body as is judged.
#[derive(Deserialize)]
struct Body {
    label: Label,
    name: String,
    confidence: f32,
    probabilities: Vec<f32>,
    model_version: String,
}

impl Client {
    pub(super) fn new(url: &str, classes: usize, key: Option<&str>) -> Self {
        let url = format!("{}/v1/predict", url.trim_end_matches('/'));
        Self { url, classes, key: key.map(str::to_owned) }
    }

    pub(super) fn ask(&self, picture: &Image) -> Result<Reply, Fault> {
        let way =
            |error: ureq::Error| Fault::Way(format!("{} cannot be reached: {error}", self.url));
        // An agent of its own is a connection of its own.
        let body = json!({ "image": picture.pixels() }).to_string();
        let request = agent().post(&self.url).content_type("application/json");
        let request = match &self.key {
            Some(key) => request.header(API_KEY, key),
            None => request,
        };
        let mut answer = request.send(&body).map_err(way)?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string();
        let headers = answer.headers();
        if !status.is_success() {
            return Err(refused(status, headers, &text.unwrap_or_default()));
        }
        self.look_at(headers, &text.map_err(way)?).map_err(Fault::Service)
    }

    fn look_at(&self, headers: &HeaderMap, text: &str) -> Result<Reply, String> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| format!("an answer has no header `{name}`"))
        };
        let identity = Identity {
            app_version: header(APP_VERSION)?.to_owned(),
            model_version: header(MODEL_VERSION)?.to_owned(),
            model_digest: header(MODEL_DIGEST)?
                .parse()
                .map_err(|error| format!("header `{MODEL_DIGEST}`: {error}"))?,
        };
        let body: Body = serde_json::from_str(text)
            .map_err(|error| format!("an answer cannot be read as a prediction: {error}"))?;
        if body.model_version != identity.model_version {
            let Body { model_version, .. } = body;
            return Err(format!(
                "body and header name two models, {model_version} and {}",
                identity.model_version
            ));
        }
        if body.probabilities.len() != self.classes {
            let (found, expected) = (body.probabilities.len(), self.classes);
            return Err(format!("an answer has {found} probabilities for {expected} classes"));
        }
        let scores = Scores::new(body.probabilities).map_err(|error| error.to_string())?;
        let prediction = Prediction::from(scores);
        let agrees = (prediction.confidence - body.confidence).abs() < 1e-6;
        if prediction.label != body.label || !agrees {
            return Err("an answer's label is not its likeliest class".to_owned());
        }
        Ok(Reply { identity, label: body.label, name: body.name })
    }
}

/// A gateway's own 5xx and a full queue say nothing of whether the service is right.
fn refused(status: StatusCode, headers: &HeaderMap, text: &str) -> Fault {
    let ours = headers.contains_key(APP_VERSION);
    let shown: String = text.chars().take(300).collect();
    let told = format!("status {}: {shown}", status.as_u16());
    match status.as_u16() {
        502..=504 if !ours => Fault::Way(format!("a gateway answers with {told}")),
        429 => Fault::Way(told),
        _ => Fault::Service(told),
    }
}

fn agent() -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .build()
        .into()
}
