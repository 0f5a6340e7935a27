//! What a prediction leaves behind for those who look back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::record::Record;
use serde_json::json;

use crate::harness::{body, client, image};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Asks for one picture and for two, ends the service, and reads what it left.
async fn left_by(args: &[&str]) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    let file = file.to_str().unwrap();
    let args = [&["--records", file], args].concat();
    let client = client(&args).await;
    let pixels = |label| image(label).pixels().to_vec();
    let one = client.post("/v1/predict").header("X-Request-Id", "r-1");
    let one = one.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    one.body_json(&json!({ "image": pixels(1) })).send().await.assert_status_is_ok();
    let two = json!({ "images": [pixels(0), pixels(2)] });
    let two = client.post("/v1/predict/batch").body_json(&two).send().await;
    assert_eq!(body(two).await["predictions"].as_array().unwrap().len(), 2);
    let wrong = json!({ "image": "none" });
    client.post("/v1/predict").body_json(&wrong).send().await;
    client.get("/version").send().await;
    // The last owner's end writes what still waits.
    drop(client);
    let text = fs_err::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_picture_that_was_classified_leaves_a_record_and_no_other_request_does() {
    let records = left_by(&[]).await;
    let told = |record: &Record| (record.image, record.images, record.output.label);
    assert_eq!(records.iter().map(told).collect::<Vec<_>>(), [(0, 1, 1), (0, 2, 0), (1, 2, 2)]);
    let first = &records[0];
    assert_eq!((first.request_id.as_str(), first.trace_id.as_deref()), ("r-1", Some(TRACE)));
    assert_eq!((first.route.as_str(), first.app_version.as_str()), ("/v1/predict", "1.2.3"));
    assert_eq!(first.input.sha256, contract::digest::Digest::of(image(1).pixels()));
    assert!(first.input.ink > 0.1 && first.output.margin > 0.5, "{first:?}");
    first.ts.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(records[1].request_id, records[2].request_id);
    assert!(records.iter().all(|record| record.pixels.is_none()), "{records:?}");
}

#[tokio::test]
async fn pixels_are_in_it_only_where_they_are_asked_for() {
    let records = left_by(&["--records-pixels", "1"]).await;
    let pixels = records.iter().map(|record| STANDARD.decode(record.pixels.as_ref().unwrap()));
    let pixels: Vec<_> = pixels.map(Result::unwrap).collect();
    assert_eq!(pixels, [1, 0, 2].map(|label| image(label).pixels().to_vec()));
}

#[tokio::test]
async fn a_client_has_a_pseudonym_where_callers_matter_and_another_one_in_every_process() {
    let of = async |args: &[&str]| {
        let records = left_by(args).await;
        let clients: Vec<_> = records.into_iter().map(|record| record.client).collect();
        assert_eq!(clients.len(), 3);
        assert!(clients.iter().all(|client| *client == clients[0]), "{clients:?}");
        clients[0].clone()
    };
    assert_eq!(of(&[]).await, None);
    let limited = ["--rate-limit", "1000/s"];
    let [one, other] = [of(&limited).await.unwrap(), of(&limited).await.unwrap()];
    assert!(one.len() == 16 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    assert_ne!(one, other);
}
