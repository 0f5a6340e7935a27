//! `runs`, for which no server is wanted.

use contract::run::{RECORD, Status};
use serde_json::Value;

use crate::records::Home;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

fn told(home: &Home, args: &[&str]) -> String {
    home.xtask(args, NOBODY).success().stdout
}

#[test]
fn runs_are_listed_by_their_start_and_one_that_was_killed_is_told_from_one_that_runs() {
    let home = Home::new();
    let empty = told(&home, &["runs", "list"]);
    assert_eq!(empty.lines().count(), 1, "{empty}");
    let failed = home.begin("toy", 3);
    failed.end(Status::Failed);
    home.finished("toy", 1, "first");
    home.begin("toy", 2).abandon();
    let _running = home.begin("toy", 4);
    fs_err::write(home.runs().join("notes"), "").unwrap();

    let listed = home.xtask(&["runs", "list"], NOBODY).success();
    let lines: Vec<&str> = listed.stdout.lines().collect();
    for (line, wanted) in lines[1..].iter().zip(["finished", "interrupted", "failed", "running"]) {
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
    assert!(lines.len() == 5 && lines[1].contains("99.00 %"), "{}", listed.stdout);
    assert!(listed.stderr.contains("notes`: not a folder"), "{}", listed.stderr);
    let rows: Value = serde_json::from_str(&told(&home, &["runs", "list", "--json"])).unwrap();
    assert_eq!(
        (&rows[0]["test_accuracy"], &rows[3]["standing"]),
        (&0.99.into(), &"running".into())
    );
}

#[test]
fn a_run_is_shown_by_its_id_the_beginning_of_it_or_as_the_latest() {
    let home = Home::new();
    home.finished("toy", 1, "first");
    let second = home.finished("toy", 2, "second");
    for name in [second.run_id.as_str(), &second.run_id[..16], "latest"] {
        let shown = told(&home, &["runs", "show", name]);
        for wanted in
            [second.run_id.as_str(), "recipe", "quick", "test/accuracy", "weights.safetensors"]
        {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
    }
    let json: Value =
        serde_json::from_str(&told(&home, &["runs", "show", "latest", "--json"])).unwrap();
    assert_eq!(json["metrics"].as_array().unwrap().len(), 5);
    for (name, wanted) in [("2026", "2 runs begin with"), ("nothing", "there is no run `nothing`")]
    {
        let refused = home.xtask(&["runs", "show", name], NOBODY);
        assert!(refused.code == Some(1) && refused.stderr.contains(wanted), "{}", refused.stderr);
    }
    fs_err::write(home.runs().join(&second.run_id).join(RECORD), "{").unwrap();
    let broken = home.xtask(&["runs", "show", &second.run_id], NOBODY);
    assert!(broken.stderr.contains("is not a run record"), "{}", broken.stderr);
}

#[test]
fn compared_runs_show_what_differs_and_lie_over_each_other_in_one_picture() {
    let home = Home::new();
    let ids = [1, 2].map(|seed| home.finished("toy", seed, "weights").run_id);
    let picture = home.path().join("runs.svg");
    let svg = picture.to_str().unwrap();
    let compared = told(&home, &["runs", "compare", &ids[0], &ids[1], "--svg", svg]);
    let names: Vec<&str> =
        compared.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let params = ["seed", "test/accuracy", "train/loss", "validation/accuracy"];
    assert_eq!(names[2..], params, "only what differs, and every metric: {compared}");
    let drawn = fs_err::read_to_string(&picture).unwrap();
    assert_eq!(drawn.matches("<polyline").count(), 4, "two metrics of two runs");
    assert!(ids.iter().all(|id| drawn.contains(id.as_str())) && !drawn.contains("test/accuracy"));
    let json = told(&home, &["runs", "compare", &ids[0], &ids[1], "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["params"]["seed"], serde_json::json!(["1", "2"]));
}
