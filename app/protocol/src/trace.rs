//! [`TraceParent`]: where a request stands in its caller's trace, as W3C Trace Context (version 00) writes it in
//! the header `traceparent`: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.

use std::fmt;

use serde::{Serialize, Serializer};

/// Not zero. Shown as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// Not zero. Shown as 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether whoever sent it may have kept its own span.
    pub sampled: bool,
}

impl TraceParent {
    /// A header that is not well-formed is as good as none, as the specification asks. Versions to come may be
    /// longer; what they begin with is the same.
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.trim().split('-');
        let mut field = |length: usize| {
            let field = fields.next()?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            (field.len() == length && field.bytes().all(is_hex)).then_some(field)
        };
        let version = field(2)?;
        let (trace, span, flags) = (field(32)?, field(16)?, field(2)?);
        if version == "ff" || (version == "00" && fields.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn only_what_the_specification_allows_is_a_trace() {
        const NONE: &str = "00000000000000000000000000000000";
        for (header, is_one) in [
            (format!("00-{TRACE}-00f067aa0ba902b7-01"), true),
            (format!(" 00-{TRACE}-00f067aa0ba902b7-00 "), true),
            (format!("01-{TRACE}-00f067aa0ba902b7-01-what-comes-later"), true),
            (format!("00-{TRACE}-00f067aa0ba902b7-01-more"), false),
            (format!("ff-{TRACE}-00f067aa0ba902b7-01"), false),
            (format!("00-{NONE}-00f067aa0ba902b7-01"), false),
            (format!("00-{TRACE}-0000000000000000-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), false),
            (format!("00-{}-00f067aa0ba902b7-01", &TRACE[1..]), false),
            (format!("00-{TRACE}-00f067aa0ba902b7"), false),
            (format!("00_{TRACE}_00f067aa0ba902b7_01"), false),
            ("é".repeat(30), false),
            (String::new(), false),
        ] {
            let found = TraceParent::parse(&header).map(|parent| parent.trace.to_string());
            assert_eq!(found.as_deref(), is_one.then_some(TRACE), "{header}");
        }
    }

    #[test]
    fn a_parent_is_written_as_it_was_read() {
        for (flags, sampled, written) in [("00", false, "00"), ("03", true, "01")] {
            let parent = TraceParent::parse(&format!("00-{TRACE}-00f067aa0ba902b7-{flags}"));
            assert_eq!(parent.unwrap().sampled, sampled);
            assert_eq!(
                parent.unwrap().to_string(),
                format!("00-{TRACE}-00f067aa0ba902b7-{written}")
            );
        }
    }
}
