//! How it ends, and what the next start finds.

use std::path::PathBuf;

use crate::receiver::{Receiver, door, lines, rollbacks, signal};
use crate::scratch::{PASSED, Scratch, WRONG_MODEL, event, pin};

/// Says its number, and goes on until somebody ends it.
const HELD: &str = r#"echo $$ >> "$folder/held"; exec sleep 600"#;

#[test]
fn a_kill_between_acceptance_and_handling_loses_nothing() {
    let scratch = Scratch::new();
    let good = scratch.release("staging", &pin("1.0.0"));
    let mut receiver = Receiver::start(&scratch, &["--xtask", &door(&scratch, "door", HELD)]);
    receiver.dispatch("deployed", &event("staging", &good, PASSED));
    let bad = scratch.release("staging", &pin("1.1.0"));
    receiver.dispatch("rollback", &event("staging", &bad, WRONG_MODEL));
    receiver.until("a run", || lines(&scratch.path("held")).len() == 1);
    receiver.signal("KILL");
    receiver.ended();
    assert_eq!(receiver.in_spool("waiting"), 2);
    signal(lines(&scratch.path("held"))[0].parse().unwrap(), "KILL");
    assert_eq!(rollbacks(&scratch), 0);

    // The verification first: without it there would be nothing to go back to.
    let receiver = Receiver::start(&scratch, &[]);
    receiver.until_handled("done", 2);
    assert_eq!(receiver.in_spool("waiting"), 0);
    assert_eq!(rollbacks(&scratch), 1, "{:?}", scratch.titles());
}

#[test]
fn a_polite_end_lets_finish_what_runs_and_keeps_the_rest() {
    let scratch = Scratch::new();
    let good = scratch.release("staging", &pin("1.0.0"));
    let slow = "echo begin >> \"$folder/trace\"; sleep 1; exec \"$xtask\" \"$@\"";
    let mut receiver = Receiver::start(&scratch, &["--xtask", &door(&scratch, "door", slow)]);
    for _ in 0..3 {
        receiver.dispatch("deployed", &event("staging", &good, PASSED));
    }
    receiver.until("a run", || !lines(&scratch.path("trace")).is_empty());
    receiver.signal("TERM");
    assert_eq!(receiver.ended().code(), Some(0));
    assert_eq!(lines(&scratch.path("trace")).len(), 1);
    assert_eq!((receiver.in_spool("waiting"), receiver.in_spool("done")), (2, 1));
    assert!(scratch.refs().contains(&format!("refs/tags/verified/staging/{good}")));

    let receiver = Receiver::start(&scratch, &[]);
    receiver.until_handled("done", 2);
}

/// Also of what the program has started.
const NESTED: &str = r#"sleep 600 & echo $! >> "$folder/held"; wait"#;

fn is_gone(pid: &str) -> bool {
    // Nobody waits for an orphan in a container without an init.
    let status = PathBuf::from(format!("/proc/{pid}/status"));
    fs_err::read_to_string(status).is_ok_and(|status| status.contains("State:\tZ"))
        || !PathBuf::from(format!("/proc/{pid}")).exists()
}

#[test]
fn what_runs_too_long_is_ended_with_all_that_it_started() {
    let scratch = Scratch::new();
    let good = scratch.release("staging", &pin("1.0.0"));
    let door = door(&scratch, "door", NESTED);
    let mut receiver = Receiver::start(&scratch, &["--xtask", &door, "--run-limit", "1s"]);
    receiver.dispatch("deployed", &event("staging", &good, PASSED));
    receiver.until_handled("timed-out", 1);
    receiver.until("the nested one is gone", || is_gone(&lines(&scratch.path("held"))[0]));
    receiver.signal("TERM");
    assert_eq!(receiver.ended().code(), Some(0));

    let mut receiver = Receiver::start(&scratch, &["--xtask", &door, "--grace", "500ms"]);
    receiver.dispatch("deployed", &event("staging", &good, PASSED));
    receiver.until("a run", || lines(&scratch.path("held")).len() == 2);
    receiver.signal("TERM");
    assert_eq!(receiver.ended().code(), Some(0));
    assert!(is_gone(&lines(&scratch.path("held"))[1]));
    assert_eq!(receiver.in_spool("waiting"), 1, "what was cut short is done again");
}
