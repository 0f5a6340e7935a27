//! [`Record`]: what `run.json` holds.

use std::collections::BTreeMap;
use std::fmt::Display;

use contract::digest::Digest;
use contract::manifest::DataRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::training::Plan;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema: u32,
    pub run_id: String,
    pub experiment_name: String,
    pub run_name: String,
    pub status: Status,
    /// Milliseconds since 1970.
    pub start_time: i64,
    pub end_time: Option<i64>,
    /// Everything that decides what comes out, and the threads.
    pub params: Vec<Entry>,
    pub tags: Vec<Entry>,
    pub dataset: Dataset,
    pub artifact_uri: Option<String>,
    pub artifacts: Vec<Recorded>,
}

/// Raised when a reader of the previous number could misread a record.
pub(super) const SCHEMA: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Or killed without a chance to say so.
    Running,
    Finished,
    Failed,
    /// Interrupted, resumable.
    Killed,
}

/// MLflow takes strings only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub key: String,
    pub value: String,
}

impl Entry {
    pub fn new(key: impl Into<String>, value: impl Display) -> Self {
        Self { key: key.into(), value: value.to_string() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub name: String,
    pub digest: Digest,
    pub num_rows: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub path: String,
    pub file_size: u64,
    pub digest: Digest,
}

const THREADS: &str = "threads";

impl Record {
    pub(super) fn new(
        run_id: String,
        plan: &Plan,
        data: &DataRecord,
        tags: Vec<Entry>,
        start: Timestamp,
    ) -> Self {
        let mut params = BTreeMap::new();
        // A recipe is plain data, so it cannot fail to become JSON.
        flatten("", serde_json::to_value(&plan.recipe).unwrap_or_default(), &mut params);
        let normalisation = serde_json::to_value(&plan.normalisation).unwrap_or_default();
        flatten("normalisation", normalisation, &mut params);
        params.insert("recipe".to_owned(), plan.recipe_name.clone());
        params.insert("seed".to_owned(), plan.seed.to_string());
        params.insert("device".to_owned(), format!("{:?}", plan.device).to_lowercase());
        params.insert(THREADS.to_owned(), plan.threads.to_string());
        Self {
            schema: SCHEMA,
            run_id,
            experiment_name: data.name.clone(),
            run_name: format!("{}-{}", plan.recipe_name, plan.seed),
            status: Status::Running,
            start_time: start.as_millisecond(),
            end_time: None,
            params: params.into_iter().map(|(key, value)| Entry { key, value }).collect(),
            tags,
            dataset: Dataset {
                name: data.name.clone(),
                digest: data.digest,
                num_rows: data.train + data.validation,
            },
            artifact_uri: None,
            artifacts: Vec::new(),
        }
    }

    /// Threads do not decide what comes out.
    pub(super) fn makes_the_same_as(&self, other: &Self) -> bool {
        let decisive = |record: &Self| -> Vec<Entry> {
            record.params.iter().filter(|entry| entry.key != THREADS).cloned().collect()
        };
        self.schema == other.schema
            && self.dataset == other.dataset
            && decisive(self) == decisive(other)
    }
}

/// `{"a": {"b": 1}}` to `a.b = 1`; lists stay JSON.
fn flatten(prefix: &str, value: Value, params: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&key, value, params);
            }
        }
        Value::String(text) => {
            params.insert(prefix.to_owned(), text);
        }
        other => {
            params.insert(prefix.to_owned(), other.to_string());
        }
    }
}
