use poem::http::Method;
use serde_json::{Value, json};

use crate::harness::{KEY, body, client, image, logged, metrics};

#[tokio::test]
async fn hostile_addresses_and_methods_share_their_series() {
    let client = client(&[]).await;
    let ask = async |i: usize| {
        client.get(format!("/{i}/../../etc/passwd")).send().await;
        client.get(format!("/v1/predict?{i}")).send().await;
        client.request(Method::from_bytes(format!("M{i}").as_bytes()).unwrap(), "/").send().await;
        client.get(format!("/assets/{i}.js")).send().await;
        client.get(format!("/v2/models/{i}/versions/{i}/ready")).send().await;
        let infer = client.post(format!("/v2/models/{i}/infer")).body_json(&json!({}));
        infer.header("traceparent", format!("00-{i:032x}-{i:016x}-01")).send().await;
        client.get("/version").header("X-Request-Id", format!("id-{i}")).send().await;
    };
    ask(0).await;
    metrics(&client).await;
    let before = metrics(&client).await.lines().count();
    for i in 1..50 {
        ask(i).await;
    }
    assert_eq!(metrics(&client).await.lines().count(), before);
}

#[tokio::test]
async fn what_happened_can_be_read_from_the_metrics() {
    let client = client(&[]).await;
    let pixels = image(1).pixels().to_vec();
    client.post("/v1/predict").body_json(&json!({ "image": pixels })).send().await;
    client.post("/v1/predict").body_json(&json!({ "images": [pixels, pixels] })).send().await;
    client.post("/v1/predict/batch").body_json(&json!({ "images": [pixels, pixels] })).send().await;
    let text = metrics(&client).await;
    let value = |part: &str| -> f64 {
        let line = text.lines().find(|line| !line.starts_with('#') && line.contains(part));
        let line = line.unwrap_or_else(|| panic!("`{part}` missing in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for (part, expected) in [
        ("prediction_class_total{class=\"right\"", 3.0),
        ("prediction_class_total{class=\"left\"", 0.0),
        ("outcome=\"ok\"} ", 2.0),
        ("outcome=\"invalid_image\"} ", 1.0),
        ("inference_rejected_total{reason=\"overloaded\"} ", 0.0),
        ("inference_queue_depth ", 0.0),
        ("http_server_active_requests ", 1.0),
        ("build_info{", 1.0),
        ("prediction_confidence_count", 3.0),
        ("inference_batch_size_sum ", 7.0),
        ("drift_window_images{", 3.0),
        ("prediction_log_dropped_total ", 0.0),
    ] {
        let found = value(part);
        assert!((found - expected).abs() < 1e-9, "{part}: {found}");
    }
    assert!(value("process_resident_memory_bytes ") > 0.0);
}

#[tokio::test]
async fn the_log_has_a_line_per_request_and_no_pixels() {
    let (logged, _guard) = logged();
    let client = client(&KEY).await;
    let mut pixels = image(1).pixels().to_vec();
    pixels[..4].copy_from_slice(&[201, 202, 203, 204]);
    let request = client.post("/v1/predict").header("X-Request-Id", "r-1");
    let answer = body(request.body_json(&json!({ "image": pixels })).send().await).await;
    assert_eq!(answer["request_id"], "r-1");
    let report = json!({ "receipt": answer["receipt"], "label": 2 });
    client.post("/v1/feedback").header("X-Request-Id", "r-2").body_json(&report).send().await;
    pixels[9] = 0;
    let wrong = json!({ "image": [pixels, "spelled <out>"] });
    client.post("/v1/predict?secret=1").body_json(&wrong).send().await;
    client.get("/no/such").send().await;

    let (text, lines) = (logged.text(), logged.requests());
    assert_eq!(lines.len(), 4, "{text}");
    let fields =
        |line: &Value| ["route", "status", "label", "code"].map(|field| line[field].clone());
    assert_eq!(lines[0]["request_id"], "r-1");
    assert_eq!(fields(&lines[0]), [json!("/v1/predict"), json!(200), json!(1), Value::Null]);
    let told = |line: &Value| {
        ["request_id", "about", "predicted", "truth", "counted"].map(|field| line[field].clone())
    };
    assert_eq!(told(&lines[1]), [json!("r-2"), json!("r-1"), json!(1), json!(2), json!(true)]);
    assert_eq!(lines[2]["code"], "invalid_image");
    assert_eq!(lines[3]["route"], "_unmatched");
    let receipt = answer["receipt"].as_str().unwrap();
    for secret in ["202,203", "spelled", "secret", "no/such", receipt] {
        assert!(!text.contains(secret), "`{secret}` in\n{text}");
    }
}
