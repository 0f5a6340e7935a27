//! What is let in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::http::{Http, Reply};
use e2e::process::run;
use e2e::repo;

use crate::receiver::{Receiver, TOKEN, program};
use crate::scratch::{Scratch, WRONG_MODEL, event};

#[track_caller]
fn is_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["code"], code);
    assert_eq!(reply.json()["status"], status);
}

fn report() -> String {
    event("staging", &"a".repeat(40), WRONG_MODEL)
}

#[track_caller]
fn holds_nothing(receiver: &Receiver) {
    let folders = ["waiting", "pages", "done"];
    assert_eq!(folders.map(|folder| receiver.in_spool(folder)), [0; 3]);
}

#[test]
fn whoever_does_not_bear_the_token_is_refused() {
    let scratch = Scratch::new();
    let receiver = Receiver::start(&scratch, &[]);
    let longer = format!("{TOKEN}x");
    for wrong in ["", "x", &TOKEN[1..], &longer] {
        is_problem(&receiver.post("/events", wrong, report().as_bytes()), 401, "unauthorized");
    }
    let none = Http::default().post(&receiver.url("/events"), "text/plain", report().as_bytes());
    let none = none.unwrap();
    is_problem(&none, 401, "unauthorized");
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    assert_eq!(receiver.metric("gitops_listen_refused_total{reason=\"unauthorized\"}"), 5);
    holds_nothing(&receiver);
}

#[test]
fn what_is_no_report_is_refused_and_never_kept() {
    let scratch = Scratch::new();
    let receiver = Receiver::start(&scratch, &[]);
    let (events, dispatch) = ("/events", "/rollback.yml/dispatches");
    let large = vec![b' '; (64 << 10) + 1];
    for (path, body, status, code) in [
        (events, &b"garbage"[..], 400, "malformed_report"),
        (events, b"", 400, "malformed_report"),
        (
            events,
            b"{\"event_type\":\"x\",\"client_payload\":{\"env\":\"\"}}",
            400,
            "malformed_report",
        ),
        (events, b"\xff", 400, "malformed_report"),
        (dispatch, report().as_bytes(), 400, "malformed_report"),
        ("/alerts", report().as_bytes(), 400, "malformed_report"),
        ("/alerts", b"{\"version\":\"4\",\"alerts\":[]}", 400, "malformed_report"),
        (events, ALERTS.as_bytes(), 400, "malformed_report"),
        (dispatch, b"{\"ref\":\"main\",\"inputs\":{}}", 400, "malformed_report"),
        (events, &large, 413, "body_too_large"),
        (events, &vec![b' '; 1 << 20], 413, "body_too_large"),
        ("/release.yml/dispatches", report().as_bytes(), 404, "not_found"),
        ("/repos/o/r/actions/workflows/release.yml/dispatches", b"", 404, "not_found"),
        ("/", report().as_bytes(), 404, "not_found"),
        ("/healthz", b"", 405, "method_not_allowed"),
    ] {
        is_problem(&receiver.post(path, TOKEN, body), status, code);
    }
    holds_nothing(&receiver);
    assert_eq!(receiver.metric("gitops_listen_received_total"), 0);
}

/// Of Alertmanager, of one that is over.
const ALERTS: &str = r#"{"version":"4","status":"resolved","alerts":[{"status":"resolved","labels":{"alertname":"InputsDrift"}}]}"#;

#[test]
fn alerts_are_kept_and_handed_over_as_reports_are() {
    let scratch = Scratch::new();
    let mut receiver = Receiver::start(&scratch, &[]);
    assert_eq!(receiver.post("/alerts", "wrong", ALERTS.as_bytes()).status, 401);
    assert_eq!(receiver.post("/alerts", TOKEN, ALERTS.as_bytes()).status, 204);
    receiver.until_handled("done", 1);
    assert!(receiver.log().contains("nothing to do: no alert fires"), "{}", receiver.log());
    // Accepted, and there when the next one starts.
    receiver.signal("KILL");
    receiver.ended();
    let done =
        fs_err::read_dir(scratch.path("spool/done")).unwrap().next().unwrap().unwrap().path();
    let name = done.file_name().unwrap().to_str().unwrap().replace(".done.json", ".json");
    fs_err::rename(&done, scratch.path("spool/waiting").join(name)).unwrap();
    let receiver = Receiver::start(&scratch, &[]);
    receiver.until_handled("done", 1);
}

/// Recorded from Argo CD, whose templates wrap them as `dispatch` does.
#[test]
fn every_report_that_argo_cd_sends_is_let_in_but_one_that_names_no_environment() {
    let scratch = Scratch::new();
    let receiver = Receiver::start(&scratch, &[]);
    let recorded = fs_err::read_dir(repo::root().join("xtask/gitops/fixtures")).unwrap();
    let mut sent = 0;
    for file in recorded.map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let report = fs_err::read_to_string(&file).unwrap();
        if file.ends_with("unlabelled.json") {
            let reply = receiver.post("/events", TOKEN, report.as_bytes());
            is_problem(&reply, 400, "malformed_report");
        } else {
            receiver.dispatch("rollback", &report);
            sent += 1;
        }
    }
    assert!(sent > 5 && receiver.metric("gitops_listen_received_total") == sent);
}

#[test]
fn what_cannot_be_kept_is_not_accepted() {
    let scratch = Scratch::new();
    let receiver = Receiver::start(&scratch, &[]);
    fs_err::remove_dir_all(scratch.path("spool")).unwrap();
    is_problem(&receiver.post("/events", TOKEN, report().as_bytes()), 503, "unavailable");
    let get = |path: &str| Http::default().get(&receiver.url(path)).unwrap();
    is_problem(&get("/readyz"), 503, "unavailable");
    assert_eq!(get("/healthz").status, 200, "starting it anew would not help");
    fs_err::create_dir_all(scratch.path("spool/waiting")).unwrap();
    assert_eq!(get("/readyz").status, 200);
    // Sent again, as Argo CD does.
    assert_eq!(receiver.post("/events", TOKEN, report().as_bytes()).status, 204);
}

#[test]
fn half_a_request_holds_nobody_up() {
    let scratch = Scratch::new();
    let receiver = Receiver::start(&scratch, &[]);
    let head = format!(
        "POST /events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n\r\n"
    );
    let begun = [&head[..20], &head];
    let ended = std::thread::scope(|scope| {
        begun
            .map(|begun| {
                let port = receiver.port();
                scope.spawn(move || {
                    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    socket.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
                    socket.write_all(begun.as_bytes()).unwrap();
                    let (since, mut answer) = (Instant::now(), String::new());
                    // Closed, be it without an answer.
                    drop(socket.read_to_string(&mut answer));
                    (since.elapsed(), answer)
                })
            })
            .map(|socket| socket.join().unwrap())
    });
    assert!(ended.iter().all(|(took, _)| *took < Duration::from_secs(30)), "{ended:?}");
    assert!(ended[1].1.starts_with("HTTP/1.1 408"), "{ended:?}");
    holds_nothing(&receiver);
}

#[test]
fn it_does_not_start_without_a_token_and_says_all_that_is_wrong() {
    let scratch = Scratch::new();
    let ended = run(program(&scratch).env_remove("LISTEN_TOKEN").args(["--port", "http"]));
    assert_eq!(ended.code, Some(64));
    for part in
        ["--token-file (LISTEN_TOKEN_FILE): missing", "--port (LISTEN_PORT): `http`", "hint: "]
    {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[test]
fn a_second_one_on_the_same_spool_does_not_start() {
    let scratch = Scratch::new();
    let _first = Receiver::start(&scratch, &[]);
    let second = run(program(&scratch).env("LISTEN_TOKEN", TOKEN).args(["--port", "0"]));
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another program works on the spool"), "{}", second.stderr);
}
