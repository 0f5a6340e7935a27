use std::borrow::Cow;

use poem::Endpoint;
use poem::test::{TestClient, TestResponse};
use protocol::problem::Code;
use protocol::receipt::{Keys, Receipt};
use serde_json::{Value, json};

use crate::harness::{
    KEY, Running, body, client, client_of, file, image, manifest, metrics, until,
};

async fn receipt(client: &TestClient<impl Endpoint>, label: usize) -> Value {
    let pixels = image(label).pixels().to_vec();
    let answer = client.post("/v1/predict").body_json(&json!({ "image": pixels })).send().await;
    body(answer).await["receipt"].clone()
}

async fn report(client: &TestClient<impl Endpoint>, receipt: &Value, label: usize) -> Value {
    let report = json!({ "receipt": receipt, "label": label });
    body(client.post("/v1/feedback").body_json(&report).send().await).await
}

#[tokio::test]
async fn any_replica_counts_a_receipt_once() {
    let (one, other) = (client(&KEY).await, client(&KEY).await);
    let (right, wrong) = (receipt(&one, 1).await, receipt(&one, 1).await);
    assert_eq!(report(&other, &right, 1).await["correct"], true);
    let thanks = report(&other, &wrong, 2).await;
    assert_eq!((&thanks["correct"], &thanks["counted"]), (&json!(false), &json!(true)));
    for label in [1, 2] {
        assert_eq!(report(&other, &wrong, label).await["counted"], false);
    }
    let told = metrics(&other).await;
    let version = manifest("weights").model_version;
    for (class, correct, count) in
        [("right", true, 1), ("right", false, 1), ("left", true, 0), ("left", false, 0)]
    {
        let line = format!(
            "prediction_feedback_total{{class=\"{class}\",correct=\"{correct}\",model_name=\"sides\",\
             model_version=\"{version}\"}} {count}"
        );
        assert!(told.contains(&line), "{line} missing in\n{told}");
    }
}

#[tokio::test]
async fn each_image_of_a_batch_has_a_receipt_of_its_own() {
    let client = client(&KEY).await;
    let images = [1, 1, 0].map(|label| image(label).pixels().to_vec());
    let batch = client.post("/v1/predict/batch").header("X-Request-Id", "the-same");
    let answer = body(batch.body_json(&json!({ "images": images })).send().await).await;
    for (place, label) in [1, 1, 0].into_iter().enumerate() {
        let thanks = report(&client, &answer["predictions"][place]["receipt"], label).await;
        assert_eq!((&thanks["correct"], &thanks["counted"]), (&json!(true), &json!(true)));
    }
}

/// A receipt for class 1, sealed with the key of [`KEY`].
fn sealed(weights: &str, issued: u64) -> Value {
    let keys = Keys::parse(include_str!("feedback.key")).unwrap();
    let model_version = Cow::Owned(manifest(weights).model_version);
    let request_id = "r".into();
    json!(keys.seal(&Receipt { request_id, image: 0, label: 1, model_version, issued }))
}

/// Feedback that is refused with this code.
pub(crate) async fn refused(code: Code) -> TestResponse {
    let client = client(if code == Code::FeedbackOff { &[] } else { &KEY }).await;
    let (receipt, label) = match code {
        Code::InvalidReceipt => (json!("made up"), json!(1)),
        Code::OtherModel => (sealed("others", u64::MAX), json!(1)),
        Code::ExpiredReceipt => (sealed("weights", 0), json!(1)),
        Code::UnknownLabel => (sealed("weights", u64::MAX), json!(3)),
        Code::InvalidFeedback => (sealed("weights", u64::MAX), json!("right")),
        _ => (sealed("weights", u64::MAX), json!(1)),
    };
    let report = json!({ "receipt": receipt, "label": label });
    client.post("/v1/feedback").body_json(&report).send().await
}

#[test]
fn a_new_key_comes_in_front_while_the_service_runs_and_receipts_of_the_old_one_stay_good() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["0123456789abcdef", "fedcba9876543210"].map(|half| half.repeat(2));
    let running = Running::of(&["--feedback-key-file", &file(&folder, "keys", &old)]);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |path: &str, body: &Value| -> Value {
        let url = format!("http://{}{path}", running.address);
        let request = agent.post(url).content_type("application/json");
        let mut answer = request.send(body.to_string()).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    let receipt = || {
        let answer = post("/v1/predict", &json!({ "image": image(1).pixels() }));
        answer["receipt"].as_str().unwrap().to_owned()
    };
    let by_old = receipt();
    file(&folder, "keys", &format!("{new}\n{old}\n"));
    let new = Keys::parse(&new).unwrap();
    until(&true, || new.open(&receipt()).is_some());
    let thanks = post("/v1/feedback", &json!({ "receipt": by_old, "label": 1 }));
    assert_eq!(thanks["counted"], true, "{thanks}");
}

#[tokio::test]
async fn only_short_json_is_read_and_nothing_that_is_refused_is_counted() {
    let client = client(&KEY).await;
    let check = async |kind: &str, text: String, code: &str| {
        let post = client.post("/v1/feedback").content_type(kind).body(text);
        assert_eq!(body(post.send().await).await["code"], code);
    };
    let report = json!({ "receipt": sealed("weights", u64::MAX), "label": 1 }).to_string();
    check("application/json", format!("{report}}}"), "malformed_json").await;
    check("application/json", report.clone() + &" ".repeat(9 << 10), "body_too_large").await;
    check("image/png", report, "unsupported_media_type").await;
    let told = metrics(&client).await;
    let counters = told.lines().filter(|line| line.starts_with("prediction_feedback_total{"));
    assert_eq!(counters.clone().count(), 6);
    assert!(counters.into_iter().all(|line| line.ends_with(" 0")), "{told}");
}

#[tokio::test]
async fn without_a_key_there_are_no_receipts_and_none_is_taken() {
    let off = client_of(manifest("weights")).await;
    assert_eq!(receipt(&off, 1).await, Value::Null);
    let on = client(&KEY).await;
    let problem = report(&off, &receipt(&on, 1).await, 1).await;
    assert_eq!((&problem["code"], &problem["status"]), (&json!("feedback_off"), &json!(404)));
}

#[tokio::test]
async fn an_answer_in_tensors_has_receipts_too_and_they_count_alike() {
    let client = client(&KEY).await;
    let pixels: Vec<u8> = [1, 0].iter().flat_map(|label| image(*label).pixels().to_vec()).collect();
    let tensor =
        json!({ "name": "image", "datatype": "UINT8", "shape": [2, 8, 8], "data": pixels });
    for path in ["/v2/models/sides/infer".to_owned(), of_its_version()] {
        let infer = client.post(&path).body_json(&json!({ "inputs": [tensor] })).send().await;
        let answer = body(infer).await;
        let receipts: Vec<&str> =
            answer["parameters"]["receipts"].as_str().unwrap().split(' ').collect();
        assert_eq!(receipts.len(), 2, "{answer}");
        for (receipt, correct) in receipts.iter().zip([true, false]) {
            let thanks = report(&client, &json!(receipt), 1).await;
            assert_eq!((&thanks["correct"], &thanks["counted"]), (&json!(correct), &json!(true)));
        }
        assert_eq!(report(&client, &json!(receipts[0]), 1).await["counted"], false);
    }
    let told = metrics(&client).await;
    for counted in ["class=\"right\",correct=\"true\"", "class=\"left\",correct=\"false\""] {
        let line = told.lines().find(|line| line.contains(counted)).unwrap();
        assert!(line.ends_with(" 2"), "{line}");
    }
    let off = client_of(manifest("weights")).await;
    let infer = off.post("/v2/models/sides/infer").body_json(&json!({ "inputs": [tensor] }));
    assert_eq!(body(infer.send().await).await.get("parameters"), None);
}

fn of_its_version() -> String {
    format!("/v2/models/sides/versions/{}/infer", manifest("weights").model_version)
}
