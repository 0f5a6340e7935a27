//! What cannot be exported is told, and what is killed leaves nothing that looks whole.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::export::{Folder, lines, packed, record};

#[test]
fn what_is_not_exported_is_told_by_its_reason() {
    let folder = Folder::new();
    let good = lines(&[record("a", 0, "2026-11-27T00:00:00Z")]);
    let altered = |key: &str, value: Value| {
        let mut record: Value = serde_json::from_str(&good).unwrap();
        record[key] = value;
        format!("{record}\n")
    };
    let odd = [
        altered("schema", json!(2)),
        altered("kind", json!("feedback")),
        altered("ts", json!("2999-12-31T23:59:59.000000Z")),
        altered("ts", json!("1969-12-31T23:59:59.000000Z")),
        altered("ts", json!("yesterday")),
        altered("image", json!(u64::MAX)),
        "no JSON\n".to_owned(),
        format!("{}\n", "x".repeat(5 << 20)),
        good.clone(),
        good[..good.len() / 2].to_owned(),
    ];
    folder.write("odd.jsonl", odd.concat());
    let whole = packed(&good.repeat(10_000));
    folder.write("broken.gz", &whole[..whole.len() - 20]);
    let told = folder.export(&["odd.jsonl", "broken.gz"], "out").success().stdout;
    for wanted in [
        "1 of another schema",
        "2 at a time before",
        "4 no record",
        "1 longer than any record",
        "1 the last line, half written",
        "1 files that break off or are damaged",
    ] {
        assert!(told.contains(&format!("not counted: {wanted}")), "{wanted} is not in {told}");
    }
}

#[test]
fn of_nothing_nothing_is_written() {
    let folder = Folder::new();
    folder.write("empty.jsonl", "");
    folder.write("odd.jsonl", "no JSON\n");
    let ended = folder.export(&["empty.jsonl", "odd.jsonl"], "out");
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    for told in ["odd.jsonl", "not counted: 1 no record", "hint: "] {
        assert!(ended.stderr.contains(told), "{told} is not in {}", ended.stderr);
    }
    assert!(!folder.path("out").exists());
    let missing = folder.export(&["missing.jsonl"], "out");
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("missing.jsonl"), "{}", missing.stderr);
    folder.write("file", "");
    folder.write("a.jsonl", lines(&[record("a", 0, "2026-11-27T00:00:00Z")]));
    let no_folder = folder.export(&["a.jsonl"], "file");
    assert_eq!(no_folder.code, Some(1));
    assert!(no_folder.stderr.contains("file/predictions"), "{}", no_folder.stderr);
}

/// More of them than are written at once, so that the first are whole long before the last.
fn many_days() -> String {
    let template = lines(&[record("ID", 0, "TIME")]);
    let mut log = String::new();
    for (year, month, day) in (2018..2024)
        .flat_map(|year| (1..=12).map(move |month| (year, month)))
        .flat_map(|(year, month)| (1..=28).step_by(5).map(move |day| (year, month, day)))
    {
        let time = format!("{year}-{month:02}-{day:02}T12:00:00.000000Z");
        let of_day = template.replace("TIME", &time);
        for number in 0..100 {
            write!(log, "{}", of_day.replace("ID", &format!("{time}-{number}"))).unwrap();
        }
    }
    log
}

#[test]
fn an_export_that_is_killed_leaves_only_whole_files_and_the_next_one_ends_it() {
    let folder = Folder::new();
    folder.write("log.jsonl", many_days());
    folder.export(&["log.jsonl"], "wanted").success();
    let wanted = folder.files("wanted");
    assert_eq!(wanted.len(), 6 * 12 * 6 + 2);

    for least in [1, 100] {
        let seen = || {
            let is_whole = |name: &&String| name.rsplit('/').next().unwrap().starts_with("part-");
            folder.files("out").keys().filter(is_whole).count()
        };
        let mut export = folder.exporting(&["log.jsonl"], "out");
        let mut export = export.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while seen() < least && export.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(export.kill());
        assert_eq!(export.wait().unwrap().code(), None, "it was done before it was killed");
        for (name, content) in folder.files("out") {
            let is_hidden = name.rsplit('/').next().unwrap().starts_with('.');
            assert!(is_hidden || wanted.get(&name) == Some(&content), "{name} is not whole");
        }
        assert_eq!(folder.arrow("out").len() % 100, 0);
    }
    folder.export(&["log.jsonl"], "out").success();
    assert!(folder.files("out") == wanted, "other files or other bytes");
}
