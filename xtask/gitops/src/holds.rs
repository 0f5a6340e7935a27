//! [`Holds`]: `kustomize/holds.yaml`, which digests may run nowhere and which environments stand
//! still. A file that cannot be read holds everything: see [`crate::guards::Guard::HoldsUnreadable`].

use contract::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::object_id::CommitId;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    #[serde(default)]
    pub quarantined: Vec<Quarantine>,
    #[serde(default)]
    pub frozen: Vec<Freeze>,
}

/// An image that was tried and found wrong, in any environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    pub digest: Digest,
    /// Where it was tried.
    pub environment: String,
    /// The Change that brought it there.
    pub change: CommitId,
    pub reason: String,
    pub since: Timestamp,
}

/// An environment that only a human moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    pub environment: String,
    pub reason: String,
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kustomize/holds.yaml cannot be read: {0}")]
pub struct UnreadableHolds(pub String);

impl Holds {
    pub fn read(content: &[u8]) -> Result<Self, UnreadableHolds> {
        let text = str::from_utf8(content).map_err(|error| UnreadableHolds(error.to_string()))?;
        // An empty file, or one of comments alone, holds nothing.
        let holds: Option<Self> =
            serde_yaml::from_str(text).map_err(|error| UnreadableHolds(error.to_string()))?;
        Ok(holds.unwrap_or_default())
    }

    pub fn to_yaml(&self) -> String {
        let yaml = serde_yaml::to_string(self).expect("strings and lists serialize");
        format!("# Written by `xtask`: rollback, freeze, unfreeze, quarantine.\n{yaml}")
    }

    pub fn quarantine_of(&self, digest: Digest) -> Option<&Quarantine> {
        self.quarantined.iter().find(|hold| hold.digest == digest)
    }

    pub fn freeze_of(&self, environment: &Environment) -> Option<&Freeze> {
        self.frozen.iter().find(|hold| hold.environment == environment.name())
    }

    /// The same digest is quarantined once, with its first reason.
    #[must_use]
    pub fn with_quarantine(mut self, hold: Quarantine) -> Self {
        if self.quarantine_of(hold.digest).is_none() {
            self.quarantined.push(hold);
        }
        self
    }

    #[must_use]
    pub fn without_quarantine(mut self, digest: Digest) -> Self {
        self.quarantined.retain(|hold| hold.digest != digest);
        self
    }

    #[must_use]
    pub fn with_freeze(mut self, hold: Freeze) -> Self {
        self.frozen.retain(|old| old.environment != hold.environment);
        self.frozen.push(hold);
        self
    }

    #[must_use]
    pub fn without_freeze(mut self, environment: &Environment) -> Self {
        self.frozen.retain(|hold| hold.environment != environment.name());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment;

    #[test]
    fn holds_read_back_what_they_print_and_nothing_written_holds_nothing() {
        let freeze = Freeze {
            environment: "staging".to_owned(),
            reason: "rollback failed: see #12".to_owned(),
            since: Timestamp::from_second(1_795_000_000).unwrap(),
        };
        let quarantine = Quarantine {
            digest: Digest::of(b"bad"),
            environment: "production".to_owned(),
            change: CommitId::new([1; 20]),
            reason: "model-wrong".to_owned(),
            since: freeze.since,
        };
        let holds = Holds::default().with_freeze(freeze).with_quarantine(quarantine.clone());
        assert_eq!(Holds::read(holds.to_yaml().as_bytes()).unwrap(), holds);
        assert_eq!(holds.clone().with_quarantine(quarantine), holds);
        assert!(holds.freeze_of(&environment("staging")).is_some());
        assert!(holds.freeze_of(&environment("production")).is_none());
        let lifted =
            holds.without_quarantine(Digest::of(b"bad")).without_freeze(&environment("staging"));
        assert_eq!(lifted, Holds::default());
        for nothing in ["", "# nobody\n", "{}", &Holds::default().to_yaml()] {
            assert_eq!(Holds::read(nothing.as_bytes()).unwrap(), Holds::default());
        }
    }

    #[test]
    fn a_misspelt_hold_is_an_error_and_not_no_hold() {
        for wrong in ["frozne: []", "frozen: [staging]", "- x", "\u{0}", "quarantined: [{}]"] {
            assert!(Holds::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Holds::read(b"\xff").is_err());
    }
}
