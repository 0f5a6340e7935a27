//! Runs as lines, and one run as a page.

use jiff::Timestamp;
use serde::Serialize;

use super::read::{Run, Standing};
use super::table::{aligned, number};

/// Fields are added and never renamed.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    run_id: String,
    standing: Standing,
    recipe: String,
    seed: String,
    dataset: String,
    /// The last that was measured.
    epoch: Option<u32>,
    validation_accuracy: Option<f64>,
    test_accuracy: Option<f64>,
    seconds: Option<f64>,
}

impl Row {
    pub(super) fn of(run: &Run) -> Self {
        let record = &run.record;
        let values = run.last_values();
        let param = |key| record.param(key).unwrap_or_default().to_owned();
        Self {
            run_id: record.run_id.clone(),
            standing: run.standing,
            recipe: param("recipe"),
            seed: param("seed"),
            dataset: record.dataset.name.clone(),
            epoch: run.metrics.iter().map(|point| point.step).max(),
            validation_accuracy: values.get("validation/accuracy").copied(),
            test_accuracy: values.get("test/accuracy").copied(),
            seconds: seconds(run),
        }
    }
}

fn seconds(run: &Run) -> Option<f64> {
    run.ended_at().map(|end| (end - run.record.start_time) as f64 / 1e3)
}

const HEAD: [&str; 9] =
    ["run", "standing", "recipe", "seed", "data", "epoch", "validation", "test", "seconds"];
const NUMBERS: [usize; 5] = [3, 5, 6, 7, 8];

pub(super) fn table(rows: &[Row]) -> String {
    let percent =
        |share: Option<f64>| share.map_or("–".to_owned(), |s| format!("{:.2} %", 100.0 * s));
    let line = |row: &Row| {
        vec![
            row.run_id.clone(),
            row.standing.name().to_owned(),
            row.recipe.clone(),
            row.seed.clone(),
            row.dataset.clone(),
            row.epoch.map_or("–".to_owned(), |epoch| epoch.to_string()),
            percent(row.validation_accuracy),
            percent(row.test_accuracy),
            row.seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.1}")),
        ]
    };
    let head = HEAD.map(str::to_owned).to_vec();
    let lines: Vec<_> = [head].into_iter().chain(rows.iter().map(line)).collect();
    aligned(&lines, |column| NUMBERS.contains(&column))
}

pub(super) fn shown(run: &Run) -> String {
    let record = &run.record;
    let mut text = format!("{}: {}\n", record.run_id, run.standing.name());
    let mut section = |name: &str, rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            let table = aligned(&rows, |_| false);
            let lines = table.lines().map(|line| format!("  {line}"));
            let lines: Vec<String> =
                [String::new(), name.to_owned()].into_iter().chain(lines).collect();
            text += &lines.join("\n");
            text.push('\n');
        }
    };
    let at = |ms: i64| {
        let at = Timestamp::from_millisecond(ms);
        at.map_or("–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
    };
    let row = |key: &str, value: String| vec![key.to_owned(), value];
    let mut times = vec![row("started", at(record.start_time))];
    times.extend(run.ended_at().map(|end| row("ended", at(end))));
    section("times", times);
    let dataset = &record.dataset;
    section(
        "data",
        vec![
            row("name", dataset.name.clone()),
            row("digest", dataset.digest.to_string()),
            row("pictures", dataset.num_rows.to_string()),
        ],
    );
    let values = run.last_values();
    section("metrics, last", values.iter().map(|(key, value)| row(key, number(*value))).collect());
    section("params", record.params.iter().map(|p| row(&p.key, p.value.clone())).collect());
    section("tags", record.tags.iter().map(|tag| row(&tag.key, tag.value.clone())).collect());
    if let Some(folder) = &record.artifact_uri {
        let file = |file: &contract::run::Recorded| {
            vec![file.path.clone(), format!("{} bytes", file.file_size), file.digest.to_string()]
        };
        section(&format!("artifact {folder}"), record.artifacts.iter().map(file).collect());
    }
    text
}
