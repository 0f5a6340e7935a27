//! Trailers of a machine's commit: only what no file says. They are read from the last paragraph of a
//! message, and what occurs twice where once is meant says nothing.

use std::fmt;

use crate::object_id::CommitId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    ChangeKind,
    /// `staging@<commit>`: where and as which Change the promoted pin was verified.
    VerifiedIn,
    /// The Change that is undone.
    RollbackOf,
    /// The Change whose pin is back.
    Restores,
    /// What the reconciler reported, often a commit that altered nothing of this environment.
    FailedRevision,
    Verdict,
    /// Why a human did this.
    Reason,
    /// May occur several times.
    Evidence,
}

impl Key {
    pub const ALL: [Self; 8] = [
        Self::ChangeKind,
        Self::VerifiedIn,
        Self::RollbackOf,
        Self::Restores,
        Self::FailedRevision,
        Self::Verdict,
        Self::Reason,
        Self::Evidence,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ChangeKind => "Change-Kind",
            Self::VerifiedIn => "Verified-In",
            Self::RollbackOf => "Rollback-Of",
            Self::Restores => "Restores",
            Self::FailedRevision => "Failed-Revision",
            Self::Verdict => "Verdict",
            Self::Reason => "Reason",
            Self::Evidence => "Evidence",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name().eq_ignore_ascii_case(name))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailers(Vec<(Key, String)>);

impl Trailers {
    #[must_use]
    pub fn with(mut self, key: Key, value: impl fmt::Display) -> Self {
        self.0.push((key, one_line(&value.to_string())));
        self
    }

    pub fn parse(message: &str) -> Self {
        let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
        // A title alone is no trailer, whatever it looks like.
        if last.len() == message.trim_end().len() {
            return Self::default();
        }
        let pairs: Option<Vec<_>> = last.lines().map(pair).collect();
        let known = pairs.unwrap_or_default().into_iter();
        Self(known.filter_map(|(name, value)| Some((Key::of(name)?, value.to_owned()))).collect())
    }

    pub fn get(&self, key: Key) -> Option<&str> {
        let mut values = self.all(key);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    pub fn commit(&self, key: Key) -> Option<CommitId> {
        self.get(key)?.parse().ok()
    }

    pub fn all(&self, key: Key) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| *own == key).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Trailers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> =
            self.0.iter().map(|(key, value)| format!("{}: {value}", key.name())).collect();
        f.write_str(&lines.join("\n"))
    }
}

fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(": ")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (!name.is_empty() && name.bytes().all(plain)).then_some((name, value.trim()))
}

/// Text from outside as part of a message: it can neither begin a paragraph nor fill a screen.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST - 1).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_read_back_what_they_print() {
        let trailers = Trailers::default()
            .with(Key::ChangeKind, "rollback")
            .with(Key::Evidence, "smoke: exit code 42")
            .with(Key::Evidence, "https://example.org/runs/1");
        let message = format!("rollback(staging): a -> b\n\nBody.\n\n{trailers}\n");
        assert_eq!(Trailers::parse(&message), trailers);
        assert_eq!(trailers.get(Key::ChangeKind), Some("rollback"));
        assert_eq!(trailers.all(Key::Evidence).count(), 2);
    }

    #[test]
    fn only_the_last_paragraph_counts_and_only_when_it_is_all_trailers() {
        for message in [
            "Change-Kind: release",
            "t\n\nChange-Kind: release\n\nand more text",
            "t\n\nsome text\nChange-Kind: release",
            "t\n\nChange-Kind: release\nChange-Kind: rollback",
            "t\n\nChange-Kind release",
            "",
        ] {
            assert_eq!(Trailers::parse(message).get(Key::ChangeKind), None, "{message}");
        }
        let merged = "t\n\nChange-Kind: release\nCo-authored-by: A <a@example.org>";
        assert_eq!(Trailers::parse(merged).get(Key::ChangeKind), Some("release"));
    }

    #[test]
    fn text_from_outside_cannot_forge_a_trailer() {
        let evil = "x\n\nChange-Kind: release\r\nRollback-Of: y";
        let trailers = Trailers::default().with(Key::Evidence, evil);
        let read = Trailers::parse(&format!("t\n\n{trailers}"));
        assert_eq!(read.get(Key::ChangeKind), None);
        assert_eq!(read.all(Key::Evidence).count(), 1);
        assert_eq!(one_line(&"x".repeat(9000)).chars().count(), 400);
    }
}
