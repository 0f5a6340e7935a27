//! [`Origins`]: the pages of other sites that may call from a browser. What they may not is for the browser
//! to enforce; callers that are no browser are not concerned.

use std::str::FromStr;

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use poem::http::uri::Uri;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode};
use poem::{Request, Response};

use crate::api::routes::Route;

/// What a page may send, beyond what every page may.
const SENT: &str = "authorization, content-type, inference-header-content-length, x-api-key, \
                    x-request-id, traceparent, tracestate";
/// What it may read of an answer. No cookies: there are none.
const READ: &str = "inference-header-content-length, retry-after, server-timing, traceresponse, www-authenticate, x-request-id, x-app-version, \
                    x-model-name, x-model-version, x-model-digest";
/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "600";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    All,
    These(Vec<String>),
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::All);
        }
        let origin = |text: &str| {
            let text = text.trim();
            let uri: Option<Uri> = text.parse().ok();
            let spelled = uri.and_then(|uri| {
                let scheme =
                    uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
                Some(format!("{scheme}://{}", uri.authority()?.as_str().to_ascii_lowercase()))
            });
            // Browsers send exactly this spelling, without the port that goes without saying; another would
            // never match.
            match spelled {
                Some(spelled) if spelled == text && !text.contains('@') => {
                    let usual = if spelled.starts_with("https:") { ":443" } else { ":80" };
                    Ok(spelled.strip_suffix(usual).unwrap_or(&spelled).to_owned())
                }
                _ => Err(format!("`{text}` is not like https://example.com, without a path")),
            }
        };
        text.split(',').map(origin).collect::<Result<_, _>>().map(Self::These)
    }
}

impl Origins {
    /// The origin that asks, where its pages may.
    pub fn of(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(ORIGIN)?;
        match self {
            Self::All => Some(HeaderValue::from_static("*")),
            Self::These(origins) => origins
                .iter()
                .any(|allowed| allowed.as_bytes() == origin.as_bytes())
                .then(|| origin.clone()),
        }
    }

    /// The answer to a browser that asks before it sends; none to anything else.
    pub fn preflight(&self, route: Route, request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.of(request).is_none() {
            return None;
        }
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = response.headers_mut();
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, route.methods()),
            (ACCESS_CONTROL_ALLOW_HEADERS, SENT),
            (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Some(response)
    }

    /// Lets pages of that origin read the answer.
    pub fn mark(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if matches!(self, Self::These(_)) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_spell_them_only() {
        let these = |origins: &[&str]| {
            Ok(Origins::These(origins.iter().map(|o| (*o).to_owned()).collect()))
        };
        assert_eq!("*".parse(), Ok(Origins::All));
        assert_eq!(
            "https://a.example, http://localhost:3000".parse::<Origins>(),
            these(&["https://a.example", "http://localhost:3000"])
        );
        assert_eq!(
            "https://a.example:443,http://b.example:80,http://c.example:443".parse::<Origins>(),
            these(&["https://a.example", "http://b.example", "http://c.example:443"])
        );
        for wrong in [
            "",
            "null",
            "a.example",
            "https://a.example/",
            "https://A.example",
            "https://a.example/page",
            "https://me@a.example",
            "ftp://a.example",
            "https://a.example,*",
        ] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }
}
