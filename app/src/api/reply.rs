//! Bodies that succeeded, on their way out of an operation.

use std::marker::PhantomData;
use std::sync::Arc;

use poem::http::HeaderValue;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use protocol::v2;
use protocol::v2::response::Written;
use serde::Serialize;

use super::feedback::Taken;
use super::schema::{self, Described, inline, reference};
use crate::answer::Answer;

/// A JSON body described by `D`, written straight from values, and what the envelope is to know of it.
pub struct Reply<D> {
    body: Vec<u8>,
    answer: Option<Arc<Answer>>,
    taken: Option<Arc<Taken>>,
    described: PhantomData<D>,
}

impl<D: Described> Reply<D> {
    pub fn json(body: &impl Serialize) -> Self {
        let body =
            serde_json::to_vec(body).expect("our bodies have string keys and no failing parts");
        Self { body, answer: None, taken: None, described: PhantomData }
    }

    #[must_use]
    pub fn showing(self, answer: Answer) -> Self {
        Self { answer: Some(Arc::new(answer)), ..self }
    }

    #[must_use]
    pub fn thanking(self, taken: Taken) -> Self {
        Self { taken: Some(Arc::new(taken)), ..self }
    }
}

impl<D: Described> IntoResponse for Reply<D> {
    fn into_response(self) -> Response {
        let mut response = Response::builder().content_type("application/json").body(self.body);
        if let Some(answer) = self.answer {
            response.set_data(answer);
        }
        if let Some(taken) = self.taken {
            response.set_data(taken);
        }
        response
    }
}

impl<D: Described> ApiResponse for Reply<D> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: "application/json",
                    schema: reference::<D>(),
                }],
                headers: Vec::new(),
            }],
        }
    }

    fn register(registry: &mut Registry) {
        D::register(registry);
    }
}

/// Output tensors: JSON, or what follows it, too, as was asked for.
pub struct Tensors {
    written: Written,
    answer: Arc<Answer>,
}

impl Tensors {
    pub fn showing(written: Written, answer: Answer) -> Self {
        Self { written, answer: Arc::new(answer) }
    }
}

impl IntoResponse for Tensors {
    fn into_response(self) -> Response {
        let Written { body, header } = self.written;
        let kind = if header.is_some() { "application/octet-stream" } else { "application/json" };
        let mut response = Response::builder().content_type(kind).body(body);
        if let Some(length) = header {
            response.headers_mut().insert(v2::HEADER, HeaderValue::from(length));
        }
        response.set_data(self.answer);
        response
    }
}

impl ApiResponse for Tensors {
    fn meta() -> MetaResponses {
        let mut meta = Reply::<schema::v2::InferResponse>::meta();
        for response in &mut meta.responses {
            response.content.push(MetaMediaType {
                content_type: "application/octet-stream",
                schema: inline(schema::v2::binary()),
            });
        }
        meta
    }

    fn register(registry: &mut Registry) {
        schema::v2::InferResponse::register(registry);
    }
}
