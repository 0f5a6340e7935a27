//! [`Code`]: every way the service refuses, and [`Problem`], its body after RFC 9457.
//!
//! A detail is written for the caller: it never holds an internal path, a type name or the text of an
//! error that the caller could not have caused.

use serde::Serialize;

use crate::trace::TraceId;

pub const CONTENT_TYPE: &str = "application/problem+json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    MalformedJson,
    MalformedRequest,
    InvalidTensor,
    Unauthenticated,
    Forbidden,
    NotFound,
    ModelNotFound,
    FeedbackOff,
    MethodNotAllowed,
    RequestTimeout,
    OtherModel,
    ExpiredReceipt,
    BodyTooLarge,
    PictureTooLarge,
    TooManyImages,
    UnsupportedMediaType,
    InvalidImage,
    UnreadablePicture,
    BlankPicture,
    InvalidFeedback,
    InvalidReceipt,
    UnknownLabel,
    RateLimited,
    Overloaded,
    Internal,
    Unavailable,
    DeadlineExceeded,
}

impl Code {
    pub const ALL: [Self; 27] = [
        Self::MalformedJson,
        Self::MalformedRequest,
        Self::InvalidTensor,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::ModelNotFound,
        Self::FeedbackOff,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::OtherModel,
        Self::ExpiredReceipt,
        Self::BodyTooLarge,
        Self::PictureTooLarge,
        Self::TooManyImages,
        Self::UnsupportedMediaType,
        Self::InvalidImage,
        Self::UnreadablePicture,
        Self::BlankPicture,
        Self::InvalidFeedback,
        Self::InvalidReceipt,
        Self::UnknownLabel,
        Self::RateLimited,
        Self::Overloaded,
        Self::Internal,
        Self::Unavailable,
        Self::DeadlineExceeded,
    ];

    /// Stable: clients, alerts and logs match on it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::MalformedRequest => "malformed_request",
            Self::InvalidTensor => "invalid_tensor",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::ModelNotFound => "model_not_found",
            Self::FeedbackOff => "feedback_off",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::OtherModel => "other_model",
            Self::ExpiredReceipt => "expired_receipt",
            Self::BodyTooLarge => "body_too_large",
            Self::PictureTooLarge => "picture_too_large",
            Self::TooManyImages => "too_many_images",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidImage => "invalid_image",
            Self::UnreadablePicture => "unreadable_picture",
            Self::BlankPicture => "blank_picture",
            Self::InvalidFeedback => "invalid_feedback",
            Self::InvalidReceipt => "invalid_receipt",
            Self::UnknownLabel => "unknown_label",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Self::MalformedJson | Self::MalformedRequest | Self::InvalidTensor => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::ModelNotFound | Self::FeedbackOff => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::OtherModel => 409,
            Self::ExpiredReceipt => 410,
            Self::BodyTooLarge | Self::PictureTooLarge | Self::TooManyImages => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidImage
            | Self::UnreadablePicture
            | Self::BlankPicture
            | Self::InvalidFeedback
            | Self::InvalidReceipt
            | Self::UnknownLabel => 422,
            Self::RateLimited | Self::Overloaded => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }

    /// What went wrong in general; the documentation lists it beside the code.
    pub fn title(self) -> &'static str {
        match self {
            Self::MalformedJson => "The body is not JSON",
            Self::MalformedRequest => "The request cannot be read",
            Self::InvalidTensor => "The request does not describe the tensors of this model",
            Self::Unauthenticated => "The request has no key or token that is known",
            Self::Forbidden => "The key or token does not allow this",
            Self::NotFound => "There is nothing at this address",
            Self::ModelNotFound => "No model of this name and version is served here",
            Self::FeedbackOff => "Feedback is switched off",
            Self::MethodNotAllowed => "This address does not answer that method",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::OtherModel => "The receipt is of another model than is served",
            Self::ExpiredReceipt => "The receipt is too old",
            Self::BodyTooLarge => "The body is larger than the service accepts",
            Self::PictureTooLarge => "The picture has more pixels than the service decodes",
            Self::TooManyImages => "More images than fit into one batch",
            Self::UnsupportedMediaType => "The body is of a kind the service does not read",
            Self::InvalidImage => "The JSON does not describe an image of this model",
            Self::UnreadablePicture => "The picture is not a readable PNG or JPEG",
            Self::BlankPicture => "The picture shows nothing",
            Self::InvalidFeedback => "The JSON is not a receipt and a label",
            Self::InvalidReceipt => "The receipt is not of this service",
            Self::UnknownLabel => "The label is no class of this model",
            Self::RateLimited => "This client asks for more than its share",
            Self::Overloaded => "More requests are waiting than the service takes",
            Self::Internal => "The service failed",
            Self::Unavailable => "The service takes no requests right now",
            Self::DeadlineExceeded => "No answer was found in time",
        }
    }

    /// Seconds after which the same request may succeed; where none are given, it will not.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited | Self::Overloaded => Some(1),
            Self::Unavailable => Some(5),
            _ => None,
        }
    }
}

/// As much of a caller's word as an answer repeats.
pub(crate) fn shown(word: &str) -> String {
    const LONGEST: usize = 64;
    let kept = word.chars().take(LONGEST).flat_map(char::escape_debug);
    let rest = word.chars().nth(LONGEST).map(|_| '…');
    kept.chain(rest).collect()
}

/// A reason to refuse, before it is known which request it answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .code.as_str())]
pub struct Refusal {
    pub code: Code,
    pub detail: String,
    /// The mistakes by their place in a JSON body; empty for anything else.
    pub errors: Vec<Mistake>,
    /// Where it is known better than by the code alone, in seconds.
    after: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// RFC 6901.
    pub pointer: String,
    pub detail: String,
}

impl Refusal {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), after: None }
    }

    pub fn at(code: Code, pointer: String, detail: String) -> Self {
        let whole =
            if pointer.is_empty() { detail.clone() } else { format!("{pointer}: {detail}") };
        Self { code, detail: whole, errors: vec![Mistake { pointer, detail }], after: None }
    }

    /// The same refusal, worth a retry after so many seconds.
    #[must_use]
    pub fn after(self, seconds: u32) -> Self {
        Self { after: Some(seconds), ..self }
    }

    /// Seconds after which the same request may succeed.
    pub fn retry_after(&self) -> Option<u32> {
        self.after.or_else(|| self.code.retry_after())
    }

    /// The same refusal, said of the value at `pointer`, unless a place is known already.
    #[must_use]
    pub fn located(self, pointer: &str) -> Self {
        if self.errors.is_empty() {
            Self::at(self.code, pointer.to_owned(), self.detail)
        } else {
            self
        }
    }

    pub fn problem<'a>(
        &'a self,
        instance: &'a str,
        request_id: &'a str,
        trace_id: Option<TraceId>,
    ) -> Problem<'a> {
        Problem {
            r#type: format!("/docs#{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            instance,
            code: self.code.as_str(),
            request_id,
            trace_id,
            error: &self.detail,
            errors: &self.errors,
        }
    }
}

/// RFC 9457, and beyond it `code`, `request_id`, `trace_id`, `errors`, and `error` for clients of the Open
/// Inference Protocol, who look nowhere else.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    error: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Mistake],
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn only_what_may_pass_by_itself_is_worth_a_retry() {
        for code in Code::ALL {
            assert_eq!(
                code.retry_after().is_some(),
                matches!(code.status(), 429 | 503),
                "{code:?}"
            );
        }
    }

    #[test]
    fn a_problem_says_the_same_to_clients_of_either_protocol() {
        let refusal =
            Refusal::at(Code::InvalidImage, "/image/3".to_owned(), "expected 28".to_owned());
        let body =
            serde_json::to_value(refusal.problem("/v1/predict", "id-1", Some(TraceId(0x1f))))
                .unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/docs#invalid_image",
                "title": "The JSON does not describe an image of this model",
                "status": 422,
                "detail": "/image/3: expected 28",
                "instance": "/v1/predict",
                "code": "invalid_image",
                "request_id": "id-1",
                "trace_id": "0000000000000000000000000000001f",
                "error": "/image/3: expected 28",
                "errors": [{"pointer": "/image/3", "detail": "expected 28"}],
            })
        );
    }
}
