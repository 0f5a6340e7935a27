//! Spans without anybody who takes them: no request notices.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use e2e::data;
use e2e::http::Http;
use e2e::model::quick;
use e2e::server::{Server, free_port};

use super::predict;

fn dropped(server: &Server) -> f64 {
    let page = String::from_utf8(server.get("/metrics").unwrap().body).unwrap();
    let line = page.lines().find(|line| line.starts_with("spans_dropped_total ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn ask_of(port: u16, requests: usize) -> Server {
    let endpoint = format!("http://127.0.0.1:{port}");
    let args = ["--otel-exporter-otlp-endpoint", &endpoint, "--drain-limit", "1s"];
    let server = Server::start(quick().path(), &args);
    let (_, image) = data::probes().0.swap_remove(0);
    let http = Http::default();
    for _ in 0..requests {
        predict(&http, &server, &image);
    }
    server
}

#[test]
fn a_collector_that_is_away_costs_its_spans_and_no_request() {
    let server = ask_of(free_port(), 10);
    let deadline = Instant::now() + Duration::from_mins(1);
    while dropped(&server) < 50.0 {
        assert!(Instant::now() < deadline, "{} of 50 spans\n{}", dropped(&server), server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    // It is counted before it is told.
    let told = || server.log().matches("the collector takes no spans").count();
    while told() == 0 {
        assert!(Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(told(), 1);
}

#[test]
fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_end() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // More than may wait.
    let mut server = ask_of(silent.local_addr().unwrap().port(), 3000);
    assert!(dropped(&server) > 0.0);
    server.signal("TERM");
    assert!(server.ended().success(), "{}", server.log());
    assert!(server.log().contains("spans were lost"), "{}", server.log());
}
