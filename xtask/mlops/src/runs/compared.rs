//! [`Comparison`]: the parameters that differ and the last value of every metric, run by run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::read::{Run, Standing};
use super::table::{aligned, number};

/// Every list is in the order of the runs.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    runs: Vec<String>,
    standings: Vec<Standing>,
    /// Only those that are not the same everywhere.
    params: BTreeMap<String, Vec<Option<String>>>,
    metrics: BTreeMap<String, Vec<Option<f64>>>,
    data: Vec<String>,
}

impl Comparison {
    pub(super) fn of(runs: &[Run]) -> Self {
        let names: BTreeSet<&str> = runs
            .iter()
            .flat_map(|run| run.record.params.iter().map(|param| param.key.as_str()))
            .collect();
        let params = names.into_iter().map(|name| {
            let of = |run: &Run| run.record.param(name).map(str::to_owned);
            (name.to_owned(), runs.iter().map(of).collect::<Vec<_>>())
        });
        let values: Vec<_> = runs.iter().map(Run::last_values).collect();
        let keys: BTreeSet<&str> = values.iter().flat_map(BTreeMap::keys).copied().collect();
        let metrics = keys.into_iter().map(|key| {
            let of = |values: &BTreeMap<&str, f64>| values.get(key).copied();
            (key.to_owned(), values.iter().map(of).collect())
        });
        Self {
            runs: runs.iter().map(|run| run.record.run_id.clone()).collect(),
            standings: runs.iter().map(|run| run.standing).collect(),
            params: params.filter(|(_, values)| differ(values)).collect(),
            metrics: metrics.collect(),
            data: runs.iter().map(|run| run.record.dataset.digest.to_string()).collect(),
        }
    }
}

fn differ<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).any(|pair| pair[0] != pair[1])
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
        let none = || "–".to_owned();
        let mut rows = vec![row("", self.runs.clone())];
        rows.push(row("standing", self.standings.iter().map(|s| s.name().to_owned()).collect()));
        if differ(&self.data) {
            let short = |digest: &String| digest.chars().take(19).collect();
            rows.push(row("data", self.data.iter().map(short).collect()));
        }
        for (name, values) in &self.params {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(none);
            rows.push(row(name, values.iter().map(shown).collect()));
        }
        for (key, values) in &self.metrics {
            let shown = |value: &Option<f64>| value.map_or_else(none, number);
            rows.push(row(key, values.iter().map(shown).collect()));
        }
        f.write_str(&aligned(&rows, |column| column > 0))
    }
}
