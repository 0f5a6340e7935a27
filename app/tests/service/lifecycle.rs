use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use app::serve::Drain;
use contract::image::Image;
use serde_json::json;

use crate::harness::{DRAIN, Running, classify, image, service, until};

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn send(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
}

/// Head and body of one answer that has a `Content-Length`.
fn receive(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn ask(running: &Running, path: &str) -> String {
    let mut stream = connect(running);
    send(&mut stream, path);
    receive(&mut stream)
}

#[test]
fn after_a_signal_it_is_unready_and_goes_on_answering_then_ends() {
    let running = Running::start(service(&[], classify), DRAIN);
    assert!(ask(&running, "/readyz").starts_with("http/1.1 200"));
    let mut kept = connect(&running);
    send(&mut kept, "/version");
    assert!(!receive(&mut kept).contains("connection: close"));
    running.signal();
    // The signal is on its way to another thread.
    while ask(&running, "/readyz").starts_with("http/1.1 200") {}
    let unready = ask(&running, "/readyz");
    assert!(unready.starts_with("http/1.1 503") && unready.contains("retry-after: 5"), "{unready}");
    assert!(ask(&running, "/livez").starts_with("http/1.1 200"));
    send(&mut kept, "/version");
    let last = receive(&mut kept);
    assert!(last.starts_with("http/1.1 200") && last.contains("connection: close"), "{last}");
    let address = running.address;
    running.ended();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// A service whose model waits for the test.
fn gated() -> (Running, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (start, started) = mpsc::channel();
    let (gate, opened) = mpsc::channel();
    let mut warm = 3;
    let classify = move |images: &[Image]| {
        if warm > 0 {
            warm -= 1;
        } else {
            start.send(()).unwrap();
            opened.recv().map_err(|error| error.to_string())?;
        }
        classify(images)
    };
    let drain = Drain { pause: Duration::ZERO, ..DRAIN };
    (Running::start(service(&["--request-timeout", "60s"], classify), drain), started, gate)
}

fn send_prediction(stream: &mut TcpStream) {
    let body = json!({ "image": image(1).pixels() }).to_string();
    let length = body.len();
    write!(
        stream,
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
}

#[test]
fn a_request_that_was_accepted_is_answered_after_the_signal() {
    let (running, started, gate) = gated();
    let mut stream = connect(&running);
    send_prediction(&mut stream);
    started.recv().unwrap();
    running.signal();
    while TcpStream::connect(running.address).is_ok() {}
    gate.send(()).unwrap();
    let answer = receive(&mut stream);
    assert!(answer.starts_with("http/1.1 200") && answer.contains("\"right\""), "{answer}");
    running.ended();
}

#[test]
fn a_second_signal_cuts_requests_short() {
    let (running, started, gate) = gated();
    let mut stream = connect(&running);
    send_prediction(&mut stream);
    started.recv().unwrap();
    running.signal();
    while TcpStream::connect(running.address).is_ok() {}
    running.signal();
    let mut rest = String::new();
    assert!(stream.read_to_string(&mut rest).is_err() || rest.is_empty(), "{rest}");
    // The engine's thread ends with its computation.
    drop(gate);
    running.ended();
}

#[test]
fn half_open_connections_do_not_hold_up_the_end() {
    let running = Running::start(service(&[], classify), Drain { pause: Duration::ZERO, ..DRAIN });
    let mut half = connect(&running);
    write!(half, "GET /version HTTP/1.1\r\nHo").unwrap();
    let silent = connect(&running);
    let mut kept = connect(&running);
    send(&mut kept, "/version");
    receive(&mut kept);
    let signalled = Instant::now();
    running.signal();
    running.ended();
    assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
    drop((half, silent));
}

#[test]
fn connections_past_the_limit_wait_for_their_turn() {
    let drain = Drain { max_connections: 2, pause: Duration::ZERO, ..DRAIN };
    let running = Running::start(service(&[], classify), drain);
    let mut first = connect(&running);
    send(&mut first, "/version");
    receive(&mut first);
    let mut second = connect(&running);
    send(&mut second, "/version");
    receive(&mut second);
    let mut third = connect(&running);
    send(&mut third, "/version");
    third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(third.read(&mut [0]).is_err(), "a third connection was served beside two others");
    drop(first);
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(receive(&mut third).starts_with("http/1.1 200"));
}

#[test]
fn whoever_reads_no_answer_is_given_up_and_another_has_the_place() {
    let drain = Drain { max_connections: 2, write_timeout: Duration::from_millis(300), ..DRAIN };
    let running = Running::start(service(&[], classify), drain);
    // So much that no socket holds it.
    let mut silent = connect(&running);
    for _ in 0..2000 {
        if write!(silent, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").is_err() {
            break;
        }
    }
    let given_up = || ask(&running, "/metrics").contains("given_up_total{reason=\"answer\"} 1");
    until(&true, given_up);
    let mut places = [connect(&running), connect(&running)];
    for place in &mut places {
        send(place, "/version");
        assert!(receive(place).starts_with("http/1.1 200"));
    }
}

/// Status of the answer to these bytes.
fn status(running: &Running, request: &str) -> String {
    let mut stream = connect(running);
    // What is refused before its end is not read to its end.
    stream.write_all(request.as_bytes()).unwrap_or_default();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8(start.to_vec()).unwrap()
}

#[test]
fn a_head_is_as_the_protocol_has_it_and_no_longer_than_it_needs_to_be() {
    let running = Running::start(service(&[], classify), DRAIN);
    let check = |head: &str, expected: &str| {
        let found = status(&running, &format!("{head}\r\n\r\n"));
        assert_eq!(found, format!("HTTP/{expected}"), "{}", &head[..head.len().min(80)]);
    };
    check("GET /version HTTP/1.1\r\nHost: x", "1.1 200");
    check("GET /version HTTP/1.1", "1.1 400");
    check("GET /version HTTP/1.1\r\nHost: x\r\nHost: y", "1.1 400");
    check("GET /version HTTP/1.0", "1.0 200");
    let long =
        |length| format!("GET /version HTTP/1.1\r\nHost: x\r\nCookie: {}", "x".repeat(length));
    check(&long(30 << 10), "1.1 200");
    check(&long(100 << 10), "1.1 431");
}

#[test]
fn a_sender_of_an_unread_body_reads_why_instead_of_a_reset() {
    let running = Running::start(service(&["--body-limit", "64KiB"], classify), DRAIN);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let body = vec![b' '; 8 << 20];
    let check = |path: &str, content_type: &str, code: &str| {
        let url = format!("http://{}{path}", running.address);
        let mut answer = agent.post(&url).content_type(content_type).send(&body).unwrap();
        let problem = answer.body_mut().read_to_string().unwrap();
        assert!(problem.contains(&format!("\"{code}\"")), "{problem}");
    };
    check("/v1/predict", "application/json", "body_too_large");
    check("/v1/predict", "text/plain", "unsupported_media_type");
    check("/version", "application/json", "method_not_allowed");
    check("/nowhere", "application/json", "not_found");
}
