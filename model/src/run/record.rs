//! What a record says of a training that begins.

use std::collections::BTreeMap;

use contract::manifest::DataRecord;
use contract::run::{Dataset, Entry, Record, SCHEMA, Status, THREADS};
use jiff::Timestamp;
use serde_json::Value;

use crate::training::Plan;

pub(super) fn begun(
    run_id: String,
    plan: &Plan,
    data: &DataRecord,
    tags: Vec<Entry>,
    start: Timestamp,
) -> Record {
    let mut params = BTreeMap::new();
    // A recipe is plain data, so it cannot fail to become JSON.
    flatten("", serde_json::to_value(&plan.recipe).unwrap_or_default(), &mut params);
    let normalisation = serde_json::to_value(&plan.normalisation).unwrap_or_default();
    flatten("normalisation", normalisation, &mut params);
    if let Some(compression) = &plan.compression {
        let compression = serde_json::to_value(compression).unwrap_or_default();
        flatten("compression", compression, &mut params);
    }
    params.insert("recipe".to_owned(), plan.recipe_name.clone());
    params.insert("seed".to_owned(), plan.seed.to_string());
    params.insert("device".to_owned(), format!("{:?}", plan.device).to_lowercase());
    params.insert(THREADS.to_owned(), plan.threads.to_string());
    Record {
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
