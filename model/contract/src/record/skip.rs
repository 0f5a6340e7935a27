//! [`Skip`]: why a line of records is not used. Whoever reads records counts these, so that nothing is left out
//! silently.

use serde::{Deserialize, Serialize};

use super::SCHEMA;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    OtherModel,
    OtherSchema,
    Clock,
    Unsampled,
    Repeated,
    OtherPixels,
    Malformed,
    NoObject,
    Long,
    CutOff,
    Damaged,
}

impl Skip {
    pub fn reason(self) -> &'static str {
        match self {
            Self::OtherModel => "another model answered",
            Self::OtherSchema => "of another schema",
            Self::Clock => "at a time before the model or after now",
            Self::Unsampled => "without pixels",
            Self::Repeated => "of a picture that was there before",
            Self::OtherPixels => {
                "with pixels that are not those of its digest, or not of the task's shape"
            }
            Self::Malformed => "no record",
            Self::NoObject => "no JSON object, as where something put words of its own before it",
            Self::Long => "longer than any record",
            Self::CutOff => "the last line, half written",
            Self::Damaged => "files that break off or are damaged",
        }
    }

    /// Of a line that does not have the form of a record.
    pub fn unread(line: &[u8]) -> Self {
        match serde_json::from_slice(line) {
            Ok(Form { schema }) if schema != SCHEMA => Self::OtherSchema,
            _ => Self::Malformed,
        }
    }
}

#[derive(Deserialize)]
struct Form {
    schema: u32,
}
