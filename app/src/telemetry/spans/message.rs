//! Finished requests in the form of the OpenTelemetry protocol (OTLP), with the names of its semantic conventions
//! where there are any and the log's where not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as Described;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use protocol::trace::SpanId;

use super::{Answered, Finished, Options};
use crate::answer::Timings;
use crate::identity::Identity;

/// What an answer is made of, in this order.
pub(super) const PARTS: [&str; 4] = ["read", "decode", "queue", "infer"];

/// Bits of a span's flags: sampled, and it is known whether the parent is another's.
const SAMPLED: u32 = 0x001;
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// Who tells.
#[derive(Debug)]
pub(super) struct Resource {
    described: Described,
    scope: InstrumentationScope,
    model_version: String,
}

impl Resource {
    pub(super) fn new(options: &Options, identity: &Identity) -> Self {
        let mut attributes = vec![
            text("service.name", &options.service),
            text("service.version", &identity.app_version),
        ];
        let others = options.attributes.iter();
        let others = others.filter(|(name, _)| *name != "service.name");
        attributes.extend(others.map(|(name, value)| text(name, value)));
        Self {
            described: Described { attributes, ..Described::default() },
            scope: InstrumentationScope {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            },
            model_version: identity.model_version().to_owned(),
        }
    }

    pub(super) fn message(&self, requests: &[Finished]) -> ExportTraceServiceRequest {
        let spans = requests.iter().flat_map(|request| self.spans(request)).collect();
        let scope_spans =
            ScopeSpans { scope: Some(self.scope.clone()), spans, ..ScopeSpans::default() };
        let resource_spans = ResourceSpans {
            resource: Some(self.described.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
    }

    fn spans(&self, request: &Finished) -> Vec<Span> {
        let began = request.ended.checked_sub(request.elapsed).unwrap_or(UNIX_EPOCH);
        let mut spans = vec![self.own(request, began)];
        if let Some(Answered { timings, .. }) = &request.answered {
            let Timings { read, decode, queue, infer } = *timings;
            let (mut id, mut at) = (request.span.id, began);
            for (name, took) in PARTS.into_iter().zip([read, decode, queue, infer]) {
                // Next to one that is random, an id is as good as another.
                id = SpanId(id.0.wrapping_add(1));
                spans.push(part(request, id, name, at, took));
                at += took;
            }
        }
        spans
    }

    fn own(&self, request: &Finished, began: SystemTime) -> Span {
        let span = request.span;
        let mut attributes = vec![
            text("http.request.method", request.method),
            text("http.route", request.route),
            number("http.response.status_code", request.status.as_u16().into()),
            text("request_id", &request.request_id),
            text("model_version", &self.model_version),
        ];
        attributes.extend(request.refused.map(|code| text("code", code.as_str())));
        if let Some(Answered { images, batch, .. }) = request.answered {
            let whole = |number| i64::try_from(number).unwrap_or(i64::MAX);
            attributes.push(number("images", whole(images)));
            attributes.push(number("batch", whole(batch)));
        }
        // A caller's mistake is none of the service.
        let is_error = request.status.is_server_error();
        if let Some(code) = request.refused.filter(|_| is_error) {
            attributes.push(text("error.type", code.as_str()));
        }
        let status =
            is_error.then(|| Status { code: StatusCode::Error.into(), message: String::new() });
        let remote = if span.parent.is_some() { PARENT_IS_REMOTE } else { 0 };
        Span {
            trace_id: span.trace.0.to_be_bytes().into(),
            span_id: span.id.0.to_be_bytes().into(),
            parent_span_id: span.parent.map_or_else(Vec::new, |id| id.0.to_be_bytes().into()),
            flags: SAMPLED | PARENT_IS_KNOWN | remote,
            name: format!("{} {}", request.method, request.route),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: nanoseconds(began),
            end_time_unix_nano: nanoseconds(request.ended),
            attributes,
            status,
            ..Span::default()
        }
    }
}

fn part(request: &Finished, id: SpanId, name: &str, began: SystemTime, took: Duration) -> Span {
    Span {
        trace_id: request.span.trace.0.to_be_bytes().into(),
        span_id: id.0.to_be_bytes().into(),
        parent_span_id: request.span.id.0.to_be_bytes().into(),
        flags: SAMPLED | PARENT_IS_KNOWN,
        name: name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(began),
        end_time_unix_nano: nanoseconds(began + took),
        ..Span::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
