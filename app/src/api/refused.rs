//! Refusals on their way out of an operation: what the document says of them, and how the envelope
//! finds them again.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use protocol::problem::{self, Code, Refusal};

use super::schema::{self, Described, inline, reference};

/// A refusal as a poem error. It has no body of its own: the envelope knows the request it answers.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Thrown(pub Refusal);

impl ResponseError for Thrown {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).expect("codes have statuses of HTTP")
    }
}

/// The codes that an operation may answer with, for the document.
pub trait Codes: Send + Sync + 'static {
    const CODES: &'static [Code];
    /// Whether callers may have to say who they are.
    const ASKS: bool = true;
}

/// Beside its own codes, where callers are known or counted. The last is for tokens whose keys cannot be had.
const OF_ACCESS: [Code; 4] =
    [Code::Unauthenticated, Code::Forbidden, Code::RateLimited, Code::Unavailable];

pub struct Predicting;

impl Codes for Predicting {
    const CODES: &'static [Code] = &[
        Code::MalformedJson,
        Code::MalformedRequest,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::PictureTooLarge,
        Code::TooManyImages,
        Code::UnsupportedMediaType,
        Code::InvalidImage,
        Code::UnreadablePicture,
        Code::BlankPicture,
        Code::Overloaded,
        Code::Internal,
        Code::Unavailable,
        Code::DeadlineExceeded,
    ];
}

/// Predicting through the Open Inference Protocol.
pub struct Inferring;

impl Codes for Inferring {
    const CODES: &'static [Code] = &[
        Code::MalformedJson,
        Code::MalformedRequest,
        Code::InvalidTensor,
        Code::ModelNotFound,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::PictureTooLarge,
        Code::TooManyImages,
        Code::UnsupportedMediaType,
        Code::InvalidImage,
        Code::UnreadablePicture,
        Code::BlankPicture,
        Code::Overloaded,
        Code::Internal,
        Code::Unavailable,
        Code::DeadlineExceeded,
    ];
}

/// Asking for a model by name.
pub struct Naming;

impl Codes for Naming {
    const CODES: &'static [Code] = &[Code::MalformedRequest, Code::ModelNotFound];
}

/// Asking whether a model is ready.
pub struct ProbingModel;

impl Codes for ProbingModel {
    const CODES: &'static [Code] =
        &[Code::MalformedRequest, Code::ModelNotFound, Code::Unavailable];
}

/// Asking for the repository's index.
pub struct Listing;

impl Codes for Listing {
    const CODES: &'static [Code] = &[
        Code::MalformedJson,
        Code::MalformedRequest,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::Overloaded,
    ];
}

pub struct Reporting;

impl Codes for Reporting {
    const CODES: &'static [Code] = &[
        Code::MalformedJson,
        Code::MalformedRequest,
        Code::FeedbackOff,
        Code::RequestTimeout,
        Code::OtherModel,
        Code::ExpiredReceipt,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::InvalidFeedback,
        Code::InvalidReceipt,
        Code::UnknownLabel,
        Code::Internal,
    ];
}

pub struct Probing;

impl Codes for Probing {
    const CODES: &'static [Code] = &[Code::Unavailable];
    const ASKS: bool = false;
}

/// Error type of an operation that refuses with the codes of `C`.
pub struct Refused<C>(Refusal, PhantomData<C>);

impl<C> From<Refusal> for Refused<C> {
    fn from(refusal: Refusal) -> Self {
        Self(refusal, PhantomData)
    }
}

impl<C> From<Refused<C>> for poem::Error {
    fn from(refused: Refused<C>) -> Self {
        Thrown(refused.0).into()
    }
}

impl<C: Codes> ApiResponse for Refused<C> {
    fn meta() -> MetaResponses {
        let of_access = OF_ACCESS.iter().filter(|code| C::ASKS && !C::CODES.contains(code));
        let codes: Vec<Code> = C::CODES.iter().chain(of_access).copied().collect();
        let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status()).collect();
        let response = |status: u16| MetaResponse {
            description: lines(&codes, status),
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType {
                content_type: problem::CONTENT_TYPE,
                schema: reference::<schema::Problem>(),
            }],
            headers: if matches!(status, 429 | 503) { vec![retry_after()] } else { Vec::new() },
        };
        MetaResponses { responses: statuses.into_iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        schema::Problem::register(registry);
    }
}

/// The codes of an operation behind one status, in one line. The framework wants it for good, and asks
/// once per operation.
fn lines(codes: &[Code], status: u16) -> &'static str {
    let codes = codes.iter().filter(|code| code.status() == status);
    let lines: Vec<_> =
        codes.map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
    lines.join("; ").leak()
}

fn retry_after() -> MetaHeader {
    MetaHeader {
        name: "Retry-After".to_owned(),
        description: Some("Seconds after which the same request may succeed".to_owned()),
        required: true,
        deprecated: false,
        schema: inline(schema::integer("", 0)),
    }
}
