//! [`Envelope`]: around every request, whatever comes of it. It gives the request its id, asks whether to
//! let it in, turns every
//! refusal, unknown address and panic into a problem, puts the versions on every answer, and tells log
//! and metrics of the whole exchange once.
//!
//! The one exception is a head that hyper cannot read (a malformed request line, one too long, too many
//! headers, a length past every number): there is no request then, and hyper answers 400, 414 or 431 itself,
//! without a body and without headers of ours, unseen by log and metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::header::{ALLOW, CONNECTION, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use poem::{Addr, Endpoint, Error, Request, Response};
use protocol::problem::{self, Code, Refusal};
use protocol::trace::{TraceId, TraceParent};
use tokio::time::Instant;
use uuid::Uuid;

use crate::access::{Access, Pseudonym};
use crate::answer::Answer;
use crate::api::feedback::Taken;
use crate::api::refused::Thrown;
use crate::api::routes::Route;
use crate::service::Service;
use crate::telemetry::logs;
use crate::telemetry::spans::Started;
use crate::unread::Unread;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// As the draft of Trace Context level 3 has it.
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub id: Arc<str>,
    pub at: Instant,
    /// What it belongs to, as the caller says, or else as we do where spans are told.
    pub trace: Option<TraceId>,
    pub span: Option<Started>,
}

impl Arrival {
    pub fn of(request: &Request) -> &Self {
        request.data().expect("the envelope is around every endpoint")
    }
}

/// One request and its answer, complete. Log and metrics are projections of it.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub request_id: &'a str,
    pub trace: Option<TraceId>,
    pub span: Option<Started>,
    pub method: &'a Method,
    pub route: Option<Route>,
    pub status: StatusCode,
    pub elapsed: Duration,
    pub refused: Option<Code>,
    pub answer: Option<&'a Answer>,
    /// Where it matters who asks.
    pub client: Option<Pseudonym>,
    pub feedback: Option<&'a Taken>,
}

pub struct Envelope<E> {
    inner: E,
    service: Arc<Service>,
    access: Arc<Access>,
}

impl<E: Endpoint<Output = Response>> Envelope<E> {
    pub fn around(inner: E, service: Arc<Service>) -> Self {
        let access = Arc::clone(&service.access);
        Self { inner, service, access }
    }

    /// For a port that only those reach who may.
    #[must_use]
    pub fn open_to_all(self) -> Self {
        Self { access: Arc::default(), ..self }
    }

    /// What becomes of a request. Nothing is asked that is not a route: what a caller needs is known by it.
    async fn enter(
        &self,
        route: Option<Route>,
        request: Request,
        client: &mut Option<Pseudonym>,
    ) -> poem::Result<Response> {
        if lacks_host(&request) {
            let detail = "a request of HTTP/1.1 has one `Host`";
            return Err(Thrown(Refusal::new(Code::MalformedRequest, detail)).into());
        }
        if let (Some(cors), Some(route)) = (&self.access.cors, route)
            && let Some(answer) = cors.preflight(route, &request)
        {
            return Ok(answer);
        }
        let (known, admitted) = self.access.admit(route, &request).await;
        *client = known;
        admitted.map_err(Thrown)?;
        match route {
            Some(_) => self.inner.call(request).await,
            None => Err(NotFoundError.into()),
        }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Envelope<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let at = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let route = Route::of(&path);
        let parent = trace_parent(request.headers());
        let spans = self.service.spans.as_ref();
        // What machines poll every few seconds is in no trace of anybody's.
        let spans = spans.filter(|_| !route.is_some_and(Route::is_polled));
        let span = spans.and_then(|spans| spans.begin(parent));
        let trace = span.map(|span| span.trace).or(parent.map(|parent| parent.trace));
        let arrival = Arrival { id: request_id(request.headers()), at, trace, span };
        request.set_data(arrival.clone());
        request.set_data(Arc::clone(&self.service));
        let unread = Unread::of(&mut request);

        let origin = self.access.cors.as_ref().and_then(|cors| cors.of(&request));
        let mut client = None;
        let active = self.service.metrics.active();
        let outcome =
            AssertUnwindSafe(self.enter(route, request, &mut client)).catch_unwind().await;
        let (mut response, refused) = match outcome {
            Ok(Ok(response)) => (response, None),
            Ok(Err(error)) => {
                let refusal = refusal(&error, route);
                (problem(&refusal, &path, &arrival, route), Some(refusal.code))
            }
            Err(_panic) => {
                tracing::error!(request_id = &*arrival.id, "an operation panicked");
                let refusal = Refusal::new(Code::Internal, "the service failed on this request");
                (problem(&refusal, &path, &arrival, route), Some(refusal.code))
            }
        };
        if refused.is_some() {
            unread.discard(self.service.intake.deadline(arrival.at)).await;
        }
        drop(active);

        let answer = response.data::<Arc<Answer>>().cloned();
        let feedback = response.data::<Arc<Taken>>().cloned();
        self.seal(&mut response, &arrival, answer.as_deref());
        if let Some(cors) = &self.access.cors {
            cors.mark(response.headers_mut(), origin);
        }
        let exchange = Exchange {
            request_id: &arrival.id,
            trace: arrival.trace,
            span: arrival.span,
            method: &method,
            route,
            status: response.status(),
            elapsed: arrival.at.elapsed(),
            refused,
            answer: answer.as_deref(),
            client,
            feedback: feedback.as_deref(),
        };
        self.service.metrics.observe(&exchange);
        if let Some(records) = &self.service.records {
            records.observe(&exchange, &self.service.identity);
        }
        if let Some(spans) = &self.service.spans {
            spans.observe(&exchange);
        }
        logs::access(&exchange, self.service.identity.model_version());
        Ok(response)
    }
}

impl<E> Envelope<E> {
    fn seal(&self, response: &mut Response, arrival: &Arrival, answer: Option<&Answer>) {
        let headers = response.headers_mut();
        headers.extend(self.service.identity.headers());
        headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, text(&arrival.id));
        if let Some(span) = arrival.span {
            headers.insert(TRACE_RESPONSE, text(&span.told().to_string()));
        }
        if let Some(answer) = answer {
            headers.insert(SERVER_TIMING, text(&answer.timings.header()));
        }
        // Whoever holds a connection moves on before it is closed under a request.
        if self.service.readiness.is_draining() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// RFC 9112, 3.2. What comes over no wire needs none.
fn lacks_host(request: &Request) -> bool {
    let comes_over_a_wire = matches!(request.remote_addr().0, Addr::SocketAddr(_));
    let hosts = request.headers().get_all(HOST).iter().count();
    comes_over_a_wire && hosts != 1 && (hosts > 1 || request.version() == Version::HTTP_11)
}

/// The caller's own id if it is harmless, else a new one that sorts by time.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given {
        Some(id)
            if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            id.into()
        }
        _ => Uuid::now_v7().to_string().into(),
    }
}

/// Of two headers neither can be trusted.
fn trace_parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all(TRACE_PARENT).iter();
    let first = given.next().filter(|_| given.next().is_none())?;
    TraceParent::parse(first.to_str().ok()?)
}

fn refusal(error: &Error, route: Option<Route>) -> Refusal {
    if let Some(Thrown(refusal)) = error.downcast_ref() {
        return refusal.clone();
    }
    if error.is::<NotFoundError>() {
        return Refusal::new(Code::NotFound, "there is nothing here; /docs lists every address");
    }
    if error.is::<MethodNotAllowedError>() {
        let methods = route.map_or("no method", Route::methods);
        return Refusal::new(Code::MethodNotAllowed, format!("this address answers {methods}"));
    }
    // What is left are parameters that the framework could not read.
    let code =
        if error.status().is_client_error() { Code::MalformedRequest } else { Code::Internal };
    tracing::warn!(status = error.status().as_u16(), %error, "the framework refused a request");
    Refusal::new(code, "the request cannot be read")
}

fn problem(refusal: &Refusal, path: &str, arrival: &Arrival, route: Option<Route>) -> Response {
    /// Long enough for every address of ours, too short to be a gift to whoever made it longer.
    const SHOWN: usize = 200;
    let shown: String = path.chars().take(SHOWN).collect();
    let body = serde_json::to_vec(&refusal.problem(&shown, &arrival.id, arrival.trace))
        .expect("a problem has string keys and no failing parts");
    let status = StatusCode::from_u16(refusal.code.status()).expect("codes have statuses of HTTP");
    let mut response =
        Response::builder().status(status).content_type(problem::CONTENT_TYPE).body(body);
    if let Some(seconds) = refusal.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if refusal.code == Code::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let (Code::MethodNotAllowed, Some(route)) = (refusal.code, route) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(route.methods()));
    }
    response
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("ids and timings are visible ASCII")
}
