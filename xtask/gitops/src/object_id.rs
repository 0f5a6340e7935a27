//! Names of Git objects: 40 lower-case hex digits. A branch name, a short id or `HEAD` is none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectId([u8; 20]);

/// Identity of a Change: nothing else names it.
pub type CommitId = ObjectId;

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a full commit id: expected 40 lower-case hex digits")]
pub struct InvalidObjectId(String);

impl ObjectId {
    pub fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Enough digits to tell commits apart in a sentence.
    pub fn short(self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    fn from_str(text: &str) -> Result<Self, InvalidObjectId> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let invalid = || {
            // An id comes from outside and may be of any length.
            InvalidObjectId(text.chars().take(60).collect())
        };
        let hex = text.as_bytes();
        if hex.len() != 40 {
            return Err(invalid());
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(invalid)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ObjectId {
    type Error = InvalidObjectId;

    fn try_from(text: String) -> Result<Self, InvalidObjectId> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints_and_nothing_else_is_one() {
        let hex = "64d118abcc5f21fe94ba5bf558332010865242a4";
        assert_eq!(hex.parse::<ObjectId>().unwrap().to_string(), hex);
        let upper = hex.to_uppercase();
        let long = format!("{hex}0");
        for wrong in ["", "main", "HEAD", &hex[..39], &long, &upper, &"é".repeat(20)] {
            assert!(wrong.parse::<ObjectId>().is_err(), "{wrong}");
        }
    }
}
