//! `tests/docs/commands.yaml`: what becomes of each command.

use std::collections::BTreeMap;

use e2e::repo;
use serde::Deserialize;

pub(crate) const FILE: &str = "tests/docs/commands.yaml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What stands for words in capitals.
    pub(crate) placeholders: BTreeMap<String, String>,
    executed: Vec<Executed>,
    pub(crate) elsewhere: Vec<Elsewhere>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Executed {
    pub(crate) command: String,
    /// What the document takes for granted; see [`crate::fork::Fork`].
    pub(crate) given: Option<String>,
    /// What has to be said otherwise here.
    #[serde(default)]
    pub(crate) but: BTreeMap<String, String>,
    /// Exit statuses, of which one must be.
    #[serde(default = "success")]
    pub(crate) ends: Vec<i32>,
    /// Parts of what it prints.
    #[serde(default)]
    pub(crate) says: Vec<String>,
}

fn success() -> Vec<i32> {
    vec![0]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Elsewhere {
    pub(crate) command: String,
    /// `FILE TEST`, or a file in which the command stands.
    pub(crate) by: Option<String>,
    /// Why not here; without `by`, why nowhere.
    because: String,
}

impl Table {
    pub(crate) fn read() -> Self {
        let text = fs_err::read_to_string(repo::root().join(FILE)).unwrap();
        let table: Self =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{FILE}: {error}"));
        let mut texts: Vec<_> = table.texts().collect();
        texts.sort_unstable();
        for pair in texts.windows(2) {
            assert_ne!(pair[0], pair[1], "twice in {FILE}");
        }
        assert!(table.elsewhere.iter().all(|entry| !entry.because.is_empty()));
        table
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let executed = self.executed.iter().map(|entry| &*entry.command);
        executed.chain(self.elsewhere.iter().map(|entry| &*entry.command))
    }

    pub(crate) fn executed(&self, text: &str) -> Option<&Executed> {
        self.executed.iter().find(|entry| entry.command == text)
    }

    pub(crate) fn elsewhere(&self, text: &str) -> Option<&Elsewhere> {
        self.elsewhere.iter().find(|entry| entry.command == text)
    }
}
