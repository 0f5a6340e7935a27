//! What a run's page on GitHub shows of a command.

use e2e::artifact::Claims;
use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Value, json};

use crate::runner::Runner;
use crate::scratch::Scratch;

/// GitHub shows nothing of a longer one.
const LIMIT: usize = 1 << 20;

fn shown(scratch: &Scratch) -> String {
    fs_err::read_to_string(scratch.path("temp/summary")).unwrap()
}

/// As if `model` had been built and pushed.
fn built(model: &str) -> Value {
    let pushed = json!({ "model": model }).to_string();
    json!({
        "inputs": { "environment": "staging" },
        "needs": { "build": { "outputs": { "pushed": pushed } } },
    })
}

#[test]
fn the_gates_page_is_shown_where_it_refuses() {
    let scratch = Scratch::new();
    let runner = Runner::new(&scratch);
    for file in [".dockerignore", "model/gate.yaml"] {
        let copy = scratch.path("clone").join(file);
        fs_err::create_dir_all(copy.parent().unwrap()).unwrap();
        fs_err::copy(repo::root().join(file), copy).unwrap();
    }
    let bad = Claims { wrong: (0..500).collect(), ..Claims::good("bad") };
    let model = bad.write(&scratch.path("candidate")).display().to_string();
    let ended = runner.take("release", &["Pin it"], built(&model));
    assert_eq!(ended.failed.as_deref(), Some("End as the command did"), "{ended:?}");
    let shown = shown(&scratch);
    assert!(shown.lines().next().unwrap().ends_with(" may not ship"), "{shown}");
    for row in ["| **fails** | accuracy 50.00 %", "| holds | confidence", "## By class"] {
        assert!(shown.contains(row), "`{row}` is missing in:\n{shown}");
    }
}

/// `xtask` is stood in for: it has never said as much.
#[test]
fn what_is_longer_than_github_shows_is_cut_between_lines_and_says_so() {
    const XTASK: &str = r#"#!/bin/sh
for word; do case "$word" in --report=*) report="${word#--report=}" ;; esac; done
mkdir -p "$report"
yes "| ün | page |" | head -n "$LINES_OF_PAGE" > "$report/gate.md"
yes "and said" | head -n "$LINES_SAID"
"#;
    let scratch = Scratch::new();
    let xtask = scratch.path("xtask");
    fs_err::write(&xtask, XTASK).unwrap();
    run(command("chmod", &scratch.path("clone")).arg("+x").arg(&xtask)).success();
    for (page, said, whole) in [(10, 10, true), (200_000, 1, false), (10, 200_000, false)] {
        drop(fs_err::remove_file(scratch.path("temp/summary")));
        let runner = Runner::new(&scratch)
            .with("XTASK", &xtask.display().to_string())
            .with("LINES_OF_PAGE", &page.to_string())
            .with("LINES_SAID", &said.to_string());
        runner.take("release", &["Pin it"], built("a-model")).succeeds();
        let shown = shown(&scratch);
        assert!(shown.len() < LIMIT, "{} bytes", shown.len());
        let mut lines: Vec<&str> = shown.lines().collect();
        if whole {
            assert_eq!(lines.len(), page + said);
        } else {
            assert!(lines.pop().unwrap().contains("left out"), "{page} {said}");
            assert_eq!(lines.pop(), Some(""));
            assert!(shown.len() > LIMIT * 9 / 10, "{} bytes", shown.len());
        }
        assert!(lines.iter().all(|line| ["| ün | page |", "and said"].contains(line)));
    }
}
