//! What a human hears, and what is tried again before.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use contract::digest::Digest;
use gitops::pin::Pin;

use crate::receiver::{Receiver, rollbacks};
use crate::scratch::{PASSED, Scratch, WRONG_MODEL, event, pin, pin_in};

/// An HTTP server that answers 503 so many times and then 200, and what it was sent.
struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn failing(times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, bodies) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let server = Self { port, requests: Arc::clone(&requests), bodies: Arc::clone(&bodies) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut length, mut line) = (0, String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    let lower = line.to_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                drop(reader.read_exact(&mut body));
                bodies.lock().unwrap().push(String::from_utf8(body).unwrap());
                let count = requests.fetch_add(1, Ordering::SeqCst);
                let status = if count < times { "503 Service Unavailable" } else { "200 OK" };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                drop(reader.get_mut().write_all(answer.as_bytes()));
            }
        });
        server
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/page?secret=s", self.port)
    }
}

#[test]
fn what_a_machine_must_not_decide_reaches_a_human_however_late() {
    let scratch = Scratch::new();
    let first = scratch.release("staging", &pin("1.0.0"));
    let pages = Server::failing(2);
    let mut receiver = Receiver::start(&scratch, &["--page-url", "http://127.0.0.1:9/"]);
    receiver.dispatch("rollback", &event("staging", &first, WRONG_MODEL));
    receiver.until_handled("paged", 1);
    receiver.until("a try", || receiver.metric("gitops_listen_page_failures_total") > 0);
    receiver.signal("KILL");
    receiver.ended();

    let receiver = Receiver::start(&scratch, &["--page-url", &pages.url()]);
    receiver.until("a page", || receiver.in_spool("pages") == 0);
    let bodies = pages.bodies();
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    assert!(bodies[2].starts_with("# staging: no verified pin"), "{bodies:?}");
    assert!(bodies[2].contains("docs/runbooks.md#nothing-to-restore"), "{bodies:?}");
    assert!(receiver.log().contains("a human has to look") && !receiver.log().contains("secret=s"));
}

#[test]
fn what_cannot_be_handled_at_all_reaches_a_human_too() {
    let scratch = Scratch::new();
    let released = scratch.release("staging", &pin("1.0.0"));
    let refs = scratch.refs();
    let pages = Server::failing(0);
    let receiver = Receiver::start(&scratch, &["--page-url", &pages.url()]);
    let elsewhere = event("staging", &released, WRONG_MODEL).replace("staging", "nowhere");
    receiver.dispatch("rollback", &elsewhere);
    receiver.until_handled("failed", 1);
    receiver.until("a page", || pages.requests() == 1);
    let page = pages.bodies().remove(0);
    for part in
        ["# nowhere: a report could not be handled (exit status 2)", "`nowhere`", &elsewhere]
    {
        assert!(page.contains(part), "{page}");
    }
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn what_could_not_be_decided_is_tried_again_until_it_can() {
    let scratch = Scratch::new();
    // It answers when the second run asks it.
    let registry = Server::failing(1);
    let Pin { app_version, model_digest, .. } = pin("1.0.0");
    let image = format!("127.0.0.1:{}/o/api:1.0.0@{}", registry.port, Digest::of(b"1.0.0"));
    let good = Pin { image: image.parse().unwrap(), app_version, model_digest };
    scratch.verified("staging", &good);
    let asked = registry.requests();
    assert_eq!(asked, 0, "a mark asks nobody");
    let bad = scratch.release("staging", &pin("1.1.0"));
    let receiver = Receiver::start(&scratch, &[]);
    receiver.dispatch("rollback", &event("staging", &bad, WRONG_MODEL));
    receiver.until_handled("done", 1);
    assert_eq!(receiver.metric("gitops_listen_retries_total"), 1, "{}", receiver.log());
    assert_eq!(rollbacks(&scratch), 1);
}

#[test]
fn what_never_can_be_decided_is_given_up_and_reaches_a_human() {
    let scratch = Scratch::new();
    scratch.verified("staging", &pin_in("broken", "1.0.0"));
    let bad = scratch.release("staging", &pin("1.1.0"));
    let pages = Server::failing(0);
    let receiver = Receiver::start(&scratch, &["--tries", "3", "--page-url", &pages.url()]);
    let failed = event("staging", &bad, WRONG_MODEL);
    // Behind it, nothing of another environment waits, and nothing of its own overtakes.
    receiver.dispatch("rollback", &failed);
    let released = scratch.verified("production", &pin("1.0.0"));
    receiver.dispatch("deployed", &event("production", &released, PASSED));
    receiver.until_handled("gave-up", 1);
    receiver.until_handled("done", 1);
    assert_eq!(receiver.metric("gitops_listen_retries_total"), 2);
    receiver.until("a page", || pages.requests() == 1);
    let page = pages.bodies().remove(0);
    assert!(page.contains("however often it was tried") && page.contains("answers 503"), "{page}");
    assert_eq!(rollbacks(&scratch), 0);
}
