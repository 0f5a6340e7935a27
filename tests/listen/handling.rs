//! What becomes of a report that was accepted.

use std::path::Path;

use serde_json::Value;

use crate::receiver::{Receiver, TOKEN, door, lines, rollbacks};
use crate::scratch::{PASSED, Scratch, WRONG_MODEL, event, pin};

#[test]
fn a_failure_that_is_reported_again_and_again_is_taken_back_once() {
    let scratch = Scratch::new();
    let good = scratch.release("staging", &pin("1.0.0"));
    let receiver = Receiver::start(&scratch, &[]);
    receiver.dispatch("deployed", &event("staging", &good, PASSED));
    receiver.until_handled("done", 1);
    assert!(scratch.refs().contains(&format!("refs/tags/verified/staging/{good}")));

    let bad = scratch.release("staging", &pin("1.1.0"));
    let failed = event("staging", &bad, WRONG_MODEL);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| receiver.dispatch("rollback", &failed));
        }
    });
    receiver.until("the spool is empty", || receiver.in_spool("waiting") == 0);
    assert_eq!(receiver.post("/events", TOKEN, failed.as_bytes()).status, 204);
    receiver.until("the spool is empty", || receiver.in_spool("waiting") == 0);
    receiver.until("the end of it", || receiver.log().contains("already dealt with"));

    assert_eq!(rollbacks(&scratch), 1, "{:?}", scratch.titles());
    let message = scratch.git("remote", &["log", "-1", "--format=%B", "main"]);
    assert!(message.contains(&format!("This reverts commit {bad}.")), "{message}");
}

#[test]
fn a_bare_report_and_one_without_the_long_address_are_the_same() {
    let scratch = Scratch::new();
    let good = scratch.release("staging", &pin("1.0.0"));
    let door = door(&scratch, "door", "sleep 1; exec \"$xtask\" \"$@\"");
    let receiver = Receiver::start(&scratch, &["--xtask", &door]);
    let passed = event("staging", &good, PASSED);
    let body = serde_json::json!({ "ref": "main", "inputs": { "report": passed } }).to_string();
    assert_eq!(receiver.post("/events", TOKEN, passed.as_bytes()).status, 204);
    let reply = receiver.post("/deployed.yml/dispatches", TOKEN, body.as_bytes());
    assert_eq!(reply.status, 204);
    assert_eq!(receiver.metric("gitops_listen_received_total"), 1);
    assert_eq!(receiver.metric("gitops_listen_repeated_total"), 1);
    receiver.until_handled("done", 1);
}

/// `begin ENVIRONMENT TIME` and `end ENVIRONMENT`, in the order in which they happened.
const TRACED: &str = r#"
report="$(cat)"
of() { printf '%s' "$report" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
echo "begin $(of env) $(of finished_at)" >> "$folder/trace"
sleep 0.5
printf '%s' "$report" | "$xtask" "$@"
code=$?
echo "end $(of env)" >> "$folder/trace"
exit $code
"#;

fn began(trace: &Path, environment: &str) -> Vec<String> {
    let begin = format!("begin {environment} ");
    lines(trace).iter().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect()
}

#[test]
fn environments_do_not_wait_for_each_other_and_nothing_overtakes_in_one() {
    let scratch = Scratch::new();
    let environments = ["staging", "production"];
    let released = environments.map(|name| scratch.release(name, &pin("1.0.0")));
    let receiver = Receiver::start(&scratch, &["--xtask", &door(&scratch, "door", TRACED)]);
    let mut sent = [vec![], vec![]];
    for _ in 0..4 {
        for (index, name) in environments.into_iter().enumerate() {
            let report = event(name, &released[index], PASSED);
            receiver.dispatch("deployed", &report);
            let report: Value = serde_json::from_str(&report).unwrap();
            let time = report["client_payload"]["finished_at"].as_str().unwrap();
            sent[index].push(time.to_owned());
        }
    }
    receiver.until_handled("done", 8);
    let trace = scratch.path("trace");
    for (index, name) in environments.into_iter().enumerate() {
        assert_eq!(began(&trace, name), sent[index], "{name}");
    }
    let (mut running, mut most) = (Vec::new(), 0);
    for line in lines(&trace) {
        let environment = line.split(' ').nth(1).unwrap().to_owned();
        if line.starts_with("begin ") {
            assert!(!running.contains(&environment), "two at a time: {:?}", lines(&trace));
            running.push(environment);
        } else {
            running.retain(|other| *other != environment);
        }
        most = most.max(running.len());
    }
    assert_eq!(most, 2, "{:?}", lines(&trace));
}
