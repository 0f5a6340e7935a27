//! What Feast and Arrow read is what the records say.

use contract::record::Record;
use serde_json::{Value, json};

use crate::export::{Folder, lines, micros, packed, record, row};

/// Around midnight, in two logs of one day and one of another.
fn records() -> (Vec<Record>, Vec<Record>) {
    let first = [
        record("a", 0, "2026-11-26T23:59:59.999999Z"),
        record("a", 1, "2026-11-26T23:59:59.999999Z"),
        record("b", 0, "2026-11-27T00:00:00Z"),
        record("again", 0, "2026-11-27T01:00:00.5Z"),
    ];
    let second = [
        record("c \"quoted\" é", 0, "2026-11-27T00:00:00.000001Z"),
        record("again", 0, "2026-11-27T02:00:00.5Z"),
    ];
    (first.into(), second.into())
}

/// In the order in which they are read.
fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    let key = |row: &Value| {
        (row["prediction_id"].as_str().unwrap().to_owned(), row["event_timestamp"].as_i64())
    };
    rows.sort_by_key(key);
    rows
}

#[test]
fn every_record_is_read_by_feast_and_by_arrow_with_what_it_says_at_its_time() {
    let folder = Folder::new();
    let (first, second) = records();
    folder.write("first.jsonl", lines(&first));
    folder.write("second.jsonl.gz", packed(&lines(&second)));
    let told = folder.export(&["first.jsonl", "second.jsonl.gz"], "out").success().stdout;
    assert!(told.contains("6 predictions of 2 days"), "{told}");

    let records: Vec<&Record> = first.iter().chain(&second).collect();
    let wanted = sorted(records.iter().map(|record| row(record)).collect());
    let with_day = |record: &&Record| {
        let mut row = row(record);
        row["day"] = json!(record.ts[.."2026-11-26".len()]);
        row
    };
    assert_eq!(folder.arrow("out"), sorted(records.iter().map(with_day).collect()));

    folder.apply("out");
    let asked = |row: &Value| json!([row["prediction_id"], row["event_timestamp"]]);
    let asked: Vec<Value> = wanted.iter().map(asked).collect();
    assert_eq!(folder.feast("out", &json!(asked)), wanted);

    // Between two answers of one id, and before any, of which Feast tells nothing.
    let (between, before) = (micros("2026-11-27T01:30:00Z"), micros("2026-11-27T01:00:00.499999Z"));
    let mut read = folder.feast("out", &json!([["again/0", between], ["again/0", before]]));
    read.retain(|row| !row["ink"].is_null());
    let read: Vec<_> = read.iter().map(|row| (&row["event_timestamp"], &row["ink"])).collect();
    assert_eq!(read, [(&json!(between), &json!(first[3].input.ink))]);
}

#[test]
fn a_log_that_is_exported_again_packed_renamed_or_longer_gives_each_row_once() {
    let folder = Folder::new();
    let (first, second) = records();
    folder.write("a.jsonl", lines(&first));
    folder.export(&["a.jsonl"], "out").success();
    let once = folder.files("out");
    folder.write("renamed.gz", packed(&lines(&first)));
    let told = folder.export(&["a.jsonl", "renamed.gz"], "out").success().stdout;
    assert!(told.contains("4 predictions of 2 days"), "{told}");
    assert!(folder.files("out") == once, "other files or other bytes");

    folder.write("a.jsonl", lines(&[first, second].concat()));
    folder.export(&["a.jsonl"], "out").success();
    let longer = folder.files("out");
    assert_eq!(longer.keys().collect::<Vec<_>>(), once.keys().collect::<Vec<_>>());
    assert_eq!(folder.arrow("out").len(), 6);
    // What the log was before takes nothing away.
    folder.export(&["renamed.gz"], "out").success();
    assert!(folder.files("out") == longer, "other files or other bytes");
}

#[test]
fn settings_of_the_store_stay_as_somebody_made_them() {
    let folder = Folder::new();
    folder.write("a.jsonl", lines(&records().0));
    folder.export(&["a.jsonl"], "out").success();
    folder.write("out/feature_store.yaml", "project: mine\n");
    folder.write("out/features.py", "old\n");
    folder.export(&["a.jsonl"], "out").success();
    let files = folder.files("out");
    assert_eq!(files["feature_store.yaml"], b"project: mine\n");
    assert_ne!(files["features.py"], b"old\n");
}
