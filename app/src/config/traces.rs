//! Where spans go: OpenTelemetry's own variables, of which those are read that matter to one service with one
//! exporter. As its specification asks, one that is set to nothing is not set.

use percent_encoding::percent_decode_str;
use poem::http::{HeaderName, HeaderValue, Uri};

use super::{Mistakes, values};
use crate::telemetry::spans;
use crate::telemetry::spans::exporter::Collector;
use crate::telemetry::spans::sampler::Sampler;

/// All are off by default
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the variables are the specification's")]
#[command(next_help_heading = "Traces, off unless a collector is named")]
pub struct Options {
    /// Base address of a collector that takes OTLP over HTTP, such as `http://collector:4318`
    #[arg(long, env, value_name = "URL")]
    otel_exporter_otlp_endpoint: Option<String>,
    /// Only `http/protobuf` is spoken
    #[arg(long, env, default_value = PROTOCOL, value_name = "PROTOCOL")]
    otel_exporter_otlp_protocol: String,
    /// Headers for it, such as `authorization=Bearer%20TOKEN`, separated by commas
    #[arg(long, env, hide_env_values = true, value_name = "HEADERS")]
    otel_exporter_otlp_headers: Option<String>,
    /// Name of this service in its spans [default: `service.name` of the attributes, then mnist-api]
    #[arg(long, env, value_name = "NAME")]
    otel_service_name: Option<String>,
    /// What else to say of it, such as `deployment.environment.name=staging`, separated by commas
    #[arg(long, env, value_name = "ATTRIBUTES")]
    otel_resource_attributes: Option<String>,
    /// Traces to tell of: `always_on`, `always_off` or `traceidratio`, or one of them after `parentbased_`, which leaves
    /// it to callers with traces of their own
    #[arg(long, env, default_value = SAMPLER, value_name = "SAMPLER")]
    otel_traces_sampler: String,
    /// Share of the traces, 0 to 1, for the samplers that take one
    #[arg(long, env, default_value = SHARE, value_name = "SHARE")]
    otel_traces_sampler_arg: String,
}

const NAME: &str = "mnist-api";
/// As an attribute; the variable of its own outdoes it, as OpenTelemetry has it.
const SERVICE_NAME: &str = "service.name";
const PROTOCOL: &str = "http/protobuf";
const SAMPLER: &str = "parentbased_always_on";
const SHARE: &str = "1";

/// Nothing where no collector is named. What is then said of it is not looked at: whoever names variables for all
/// services of a cluster need not know which of them is told where to send.
pub(super) fn read(options: &Options, found: &mut Mistakes) -> Option<spans::Options> {
    let endpoint = options.otel_exporter_otlp_endpoint.as_deref();
    let endpoint = endpoint.filter(|text| !text.is_empty())?;
    let url = found.check("otel-exporter-otlp-endpoint", endpoint, url);
    let protocol = or(&options.otel_exporter_otlp_protocol, PROTOCOL);
    let protocol = found.check("otel-exporter-otlp-protocol", protocol, spoken);
    let headers = options.otel_exporter_otlp_headers.as_deref().unwrap_or("");
    let headers = found.check("otel-exporter-otlp-headers", headers, headers_of);
    let attributes = options.otel_resource_attributes.as_deref().unwrap_or("");
    let attributes = found.check("otel-resource-attributes", attributes, pairs);
    let share = or(&options.otel_traces_sampler_arg, SHARE);
    let share = found.check("otel-traces-sampler-arg", share, values::share);
    let sampler = or(&options.otel_traces_sampler, SAMPLER);
    let sampler = found
        .check("otel-traces-sampler", sampler, |name| Sampler::new(name, share.unwrap_or(1.0)));
    protocol?;
    share?;
    let attributes = attributes?;
    let named = attributes.iter().find(|(name, _)| name == SERVICE_NAME);
    let named = named.map_or(NAME, |(_, value)| or(value, NAME));
    let service = or(options.otel_service_name.as_deref().unwrap_or_default(), named).to_owned();
    Some(spans::Options {
        collector: Collector::new(url?, headers?),
        sampler: sampler?,
        service,
        attributes,
    })
}

fn spoken(text: &str) -> Result<(), String> {
    match text {
        PROTOCOL => Ok(()),
        other => Err(format!("`{}` is not spoken here; only {PROTOCOL} is", other.escape_debug())),
    }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

/// Of the base address that of traces.
fn url(endpoint: &str) -> Result<String, String> {
    let uri: Option<Uri> = endpoint.parse().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    match (uri.as_ref().and_then(Uri::scheme_str), authority) {
        // Not shown: there may be a password in it.
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("names a user; credentials go into OTEL_EXPORTER_OTLP_HEADERS".to_owned())
        }
        (Some("http" | "https"), Some(_)) => {
            Ok(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        }
        _ => Err("is not an address such as http://collector:4318".to_owned()),
    }
}

/// A value may be a secret, so none is shown.
fn headers_of(list: &str) -> Result<Vec<(String, String)>, String> {
    let headers = pairs(list)?;
    let is_header = |(name, value): &(String, String)| {
        name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
    };
    match headers.iter().position(|header| !is_header(header)) {
        Some(wrong) => Err(format!("entry {} is no header", wrong + 1)),
        None => Ok(headers),
    }
}

/// `name=value,…`, values percent-encoded.
fn pairs(list: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |(place, entry): (usize, &str)| {
        let wrong = || format!("entry {} is not like name=value", place + 1);
        let (name, value) = entry.split_once('=').ok_or_else(wrong)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_error| wrong())?;
        match name.trim() {
            "" => Err(wrong()),
            name => Ok((name.to_owned(), value.into_owned())),
        }
    };
    let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
    entries.enumerate().map(pair).collect()
}
