//! [`TraceId`]: the trace that a caller's request belongs to, as W3C Trace Context (version 00) writes it in the
//! header `traceparent`: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.

use std::fmt;

/// 32 lower-case hex digits, not all zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceId(Box<str>);

impl TraceId {
    /// A header that is not well-formed is as good as none, as the specification asks. Versions to come may be
    /// longer; what they begin with is the same.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut fields = header.trim().split('-');
        let mut field = |length: usize| {
            let field = fields.next()?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            (field.len() == length && field.bytes().all(is_hex)).then_some(field)
        };
        let version = field(2)?;
        let (trace, parent, _flags) = (field(32)?, field(16)?, field(2)?);
        let is_known_to_end = version == "00" && fields.next().is_some();
        let is_set = |id: &str| id.bytes().any(|byte| byte != b'0');
        let is_valid = version != "ff" && !is_known_to_end && is_set(trace) && is_set(parent);
        is_valid.then(|| Self(trace.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_allows_is_a_trace() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
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
            let found = TraceId::from_traceparent(&header);
            let expected = is_one.then_some(TRACE);
            assert_eq!(found.as_ref().map(TraceId::as_str), expected, "{header}");
        }
    }
}
