//! [`Problem`]: every way a request is refused, as RFC 9457 has it. A detail says nothing of our insides.

use poem::Response;
use poem::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use poem::http::{HeaderValue, StatusCode};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    MalformedReport,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    BodyTooLarge,
    Internal,
    QueueFull,
    Unavailable,
}

impl Problem {
    pub(crate) const ALL: [Self; 9] = [
        Self::MalformedReport,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::Internal,
        Self::QueueFull,
        Self::Unavailable,
    ];

    /// Stable: alerts match on it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::MalformedReport => "malformed_report",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::Internal => "internal",
            Self::QueueFull => "queue_full",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::MalformedReport => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::QueueFull | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::MalformedReport => "The body is no report",
            Self::Unauthorized => "The request does not bear the token",
            Self::NotFound => "There is nothing at this address",
            Self::MethodNotAllowed => "This address does not answer that method",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::BodyTooLarge => "The body is larger than a report can be",
            Self::Internal => "The receiver failed",
            Self::QueueFull => "Too many reports wait",
            Self::Unavailable => "No report can be taken right now",
        }
    }

    pub(crate) fn response(self, detail: &str) -> Response {
        let problem = serde_json::json!({
            "type": "about:blank", "title": self.title(), "status": self.status().as_u16(),
            "detail": detail, "code": self.code(),
        });
        let response = Response::builder().status(self.status());
        let response = response.content_type("application/problem+json");
        let mut response = response.body(problem.to_string());
        let headers = response.headers_mut();
        let mut say = |name, value| drop(headers.insert(name, HeaderValue::from_static(value)));
        match self {
            Self::Unauthorized => say(WWW_AUTHENTICATE, "Bearer"),
            Self::QueueFull | Self::Unavailable => say(RETRY_AFTER, "5"),
            Self::MethodNotAllowed => say(ALLOW, "GET, POST"),
            _ => {}
        }
        response
    }
}
