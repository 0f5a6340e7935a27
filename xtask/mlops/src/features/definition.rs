//! Feast's definition of what is exported, written beside it. It is for Feast's users: nothing here reads it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use contract::atomic;

use super::columns::{COLUMNS, KEY, TIME, Values};

/// The folder of the files, and what Feast calls them.
pub(super) const PREDICTIONS: &str = "predictions";

const STORE: &str = "\
# Written by `cargo xtask features export` where there was none; it is yours to change.
project: predictions
provider: local
registry: registry.db
offline_store:
  type: dask
online_store:
  type: sqlite
  path: online_store.db
entity_key_serialization_version: 3
";

/// Settings that somebody has made stay.
pub(super) fn write(out: &Path) -> anyhow::Result<()> {
    let put = |path: &Path, text: &str| {
        atomic::write_file(path, text.as_bytes())
            .with_context(|| format!("writing {}", path.display()))
    };
    put(&out.join("features.py"), &features())?;
    let store = out.join("feature_store.yaml");
    if store.exists() { Ok(()) } else { put(&store, STORE) }
}

fn features() -> String {
    let mut fields = String::new();
    for column in COLUMNS.iter().filter(|column| ![KEY, TIME].contains(&column.name)) {
        let kind = match column.values {
            Values::Text(_) => "String",
            Values::Whole(_) => "Int64",
            Values::Time(_) => "UnixTimestamp",
            Values::Real(_) => "Float32",
        };
        let (name, meaning) = (column.name, column.meaning);
        writeln!(
            fields,
            "        Field(name=\"{name}\", dtype={kind}, description=\"{meaning}\"),"
        )
        .expect("writing to a String cannot fail");
    }
    format!(
        "\"\"\"Written by `cargo xtask features export`, and again each time: one row for each image that was classified.\"\"\"

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64, String

prediction = Entity(name=\"prediction\", join_keys=[\"{KEY}\"], value_type=ValueType.STRING)

source = FileSource(name=\"{PREDICTIONS}\", path=\"{PREDICTIONS}\", timestamp_field=\"{TIME}\")

prediction_features = FeatureView(
    name=\"prediction_features\",
    entities=[prediction],
    schema=[
{fields}    ],
    source=source,
)
"
    )
}
