//! Plain HTTP, statuses as values.

use std::time::Duration;

use serde_json::Value;
use ureq::http::HeaderMap;

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; null where it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Clone)]
pub struct Http {
    agent: ureq::Agent,
}

impl Default for Http {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { agent: config.into() }
    }
}

impl Http {
    pub fn get(&self, url: &str) -> Result<Reply, ureq::Error> {
        Self::reply(self.agent.get(url).call()?)
    }

    pub fn get_as(&self, url: &str, accept: &str) -> Result<Reply, ureq::Error> {
        Self::reply(self.agent.get(url).header("accept", accept).call()?)
    }

    pub fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        Self::reply(self.agent.post(url).header("content-type", content_type).send(body)?)
    }

    pub fn post_json(&self, url: &str, body: &Value) -> Result<Reply, ureq::Error> {
        self.post(url, "application/json", body.to_string().as_bytes())
    }

    /// With headers of one's own.
    pub fn post_with(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        let post = self.agent.post(url);
        let post = headers.iter().fold(post, |post, (name, value)| post.header(*name, *value));
        Self::reply(post.send(body)?)
    }

    pub fn put(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        Self::reply(self.agent.put(url).header("content-type", content_type).send(body)?)
    }

    fn reply(mut response: ureq::http::Response<ureq::Body>) -> Result<Reply, ureq::Error> {
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        let (parts, _) = response.into_parts();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}
