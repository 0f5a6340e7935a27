//! [`Sampler`]: which traces are told of, as `OTEL_TRACES_SAMPLER` names it. All services that are given the same
//! share choose the same traces.

use protocol::trace::{TraceId, TraceParent};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Of the traces that begin here, 0 to 1.
    share: f64,
    /// Whether a caller's own choice counts for the traces that it began.
    follows_parent: bool,
}

impl Sampler {
    /// `share` is for samplers that take one.
    pub fn new(name: &str, share: f64) -> Result<Self, String> {
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let share = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => share,
            _ => {
                return Err(format!(
                    "`{}` is not always_on, always_off or traceidratio, nor one of them after parentbased_",
                    name.escape_debug()
                ));
            }
        };
        Ok(Self { share, follows_parent })
    }

    pub fn samples(self, trace: TraceId, parent: Option<TraceParent>) -> bool {
        if let Some(parent) = parent.filter(|_| self.follows_parent) {
            return parent.sampled;
        }
        // The last 63 bits: those that every version of the specification wants random.
        #[expect(clippy::cast_possible_truncation, reason = "the upper bits are not wanted")]
        let draw = (trace.0 as u64) >> 1;
        (draw as f64) < self.share * (1u64 << 63) as f64
    }
}

#[cfg(test)]
mod tests {
    use protocol::trace::SpanId;

    use super::*;

    const MIDDLE: u128 = 1 << 63;

    fn samples(name: &str, trace: u128, parent: Option<bool>) -> bool {
        let trace = TraceId(trace);
        let parent = parent.map(|sampled| TraceParent { trace, span: SpanId(1), sampled });
        Sampler::new(name, 0.5).unwrap().samples(trace, parent)
    }

    #[test]
    fn a_caller_decides_for_its_traces_where_that_is_wanted() {
        for (name, alone, sampled, unsampled) in [
            ("always_on", true, true, true),
            ("always_off", false, false, false),
            ("parentbased_always_on", true, true, false),
            ("parentbased_always_off", false, true, false),
        ] {
            let found = [None, Some(true), Some(false)].map(|parent| samples(name, MIDDLE, parent));
            assert_eq!(found, [alone, sampled, unsampled], "{name}");
        }
    }

    #[test]
    fn a_share_is_of_the_traces_and_the_same_ones_everywhere() {
        for name in ["traceidratio", "parentbased_traceidratio"] {
            let below = MIDDLE - (1 << 20);
            assert!(samples(name, below, None) && !samples(name, MIDDLE, None), "{name}");
        }
        assert!(!samples("traceidratio", u128::MAX, Some(true)));
        assert!(samples("parentbased_traceidratio", u128::MAX, Some(true)));
    }

    #[test]
    fn what_is_no_sampler_is_told_with_all_that_are() {
        for wrong in ["", "jaeger_remote", "parentbased_", "parentbased_parentbased_always_on"] {
            assert!(Sampler::new(wrong, 1.0).unwrap_err().contains("traceidratio"), "{wrong}");
        }
    }
}
