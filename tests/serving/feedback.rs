//! What callers send back, across replicas: processes that share nothing but a key.

use e2e::data;
use e2e::http::Http;
use e2e::model::quick;
use e2e::repo;
use e2e::server::Server;
use serde_json::{Value, json};

use super::predict;

fn report(server: &Server, receipt: &Value, label: &Value) -> Value {
    let report = json!({ "receipt": receipt, "label": label });
    let reply = Http::default().post_json(&server.url("/v1/feedback"), &report).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

/// Labels that this replica counted.
fn counted(server: &Server) -> f64 {
    let page = String::from_utf8(server.get("/metrics").unwrap().body).unwrap();
    let counters = page.lines().filter(|line| line.starts_with("prediction_feedback_total{"));
    counters.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn a_receipt_is_taken_by_every_replica_and_counted_once_by_each() {
    let artifact = quick();
    let key = repo::root().join("app/tests/service/feedback.key");
    let args = ["--feedback-key-file", key.to_str().unwrap()];
    let [one, other] = [(); 2].map(|()| Server::start(artifact.path(), &args));
    let (_, image) = data::probes().0.swap_remove(0);
    let answer = predict(&Http::default(), &one, &image);
    for counts in [true, false] {
        for replica in [&other, &one] {
            let thanks = report(replica, &answer["receipt"], &answer["label"]);
            assert_eq!((&thanks["correct"], &thanks["counted"]), (&json!(true), &json!(counts)));
        }
    }
    assert_eq!([counted(&one), counted(&other)].map(f64::to_bits), [1f64.to_bits(); 2]);
}
