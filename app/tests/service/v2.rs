//! The Open Inference Protocol, as clients speak it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::Endpoint;
use poem::http::{Method, StatusCode};
use poem::test::{TestClient, TestRequestBuilder, TestResponse};
use serde::Serialize;
use serde_json::{Value, json};

use crate::harness::{body, classify, client, image, manifest, png, service};

const INFER: &str = "/v2/models/sides/infer";

fn pixels(label: usize) -> Vec<u8> {
    image(label).pixels().to_vec()
}

fn tensor(datatype: &str, shape: impl Serialize, data: impl Serialize) -> Value {
    json!({ "inputs": [{ "name": "image", "datatype": datatype, "shape": shape, "data": data }] })
}

async fn infer(client: &TestClient<impl Endpoint>, body: &Value) -> TestResponse {
    client.post(INFER).body_json(body).send().await
}

/// Every tensor of an answer by its name.
fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    outputs.iter().find(|output| output["name"] == name).unwrap()
}

#[tokio::test]
async fn tensors_of_every_datatype_have_the_answer_that_v1_gives() {
    let client = client(&[]).await;
    for label in 0..3 {
        let one = client.post("/v1/predict").body_json(&json!({ "image": pixels(label) }));
        let one = body(one.send().await).await;
        let rows: Vec<Vec<u8>> = pixels(label).chunks(8).map(<[u8]>::to_vec).collect();
        let scaled: Vec<f32> = pixels(label).iter().map(|p| f32::from(*p) / 255.0).collect();
        for request in [
            tensor("UINT8", json!([1, 8, 8]), json!([rows])),
            tensor("UINT8", json!([1, 8, 8]), json!(pixels(label))),
            tensor("INT64", json!([1, 64]), json!([pixels(label)])),
            tensor("FP32", json!([1, 1, 8, 8]), json!(scaled)),
            tensor("FP64", json!([1, 8, 8, 1]), json!(scaled)),
            tensor("BYTES", json!([1]), json!([STANDARD.encode(png(&image(label)))])),
        ] {
            let answer = infer(&client, &request).await;
            answer.assert_status_is_ok();
            answer.assert_content_type("application/json");
            assert!(answer.0.header("server-timing").unwrap().starts_with("decode;dur="));
            let version = answer.0.header("x-model-version").unwrap().to_owned();
            let answer = body(answer).await;
            assert_eq!(
                answer,
                json!({
                    "model_name": "sides",
                    "model_version": version,
                    "outputs": [
                        {
                            "name": "probabilities", "datatype": "FP32", "shape": [1, 3],
                            "data": one["probabilities"],
                        },
                        { "name": "label", "datatype": "INT64", "shape": [1], "data": [label] },
                    ],
                })
            );
        }
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_with_the_id_and_the_outputs_asked_for() {
    let client = client(&[]).await;
    let labels = [2, 0, 1, 0];
    let mut request = tensor("UINT8", json!([4, 8, 8]), json!(labels.map(pixels).concat()));
    request["id"] = json!("mine");
    request["outputs"] = json!([{ "name": "label" }]);
    let answer = infer(&client, &request).await;
    assert_ne!(answer.0.header("x-request-id"), Some("mine"));
    let answer = body(answer).await;
    assert_eq!(answer["id"], "mine");
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(output(&answer, "label")["data"], json!(labels));
}

#[tokio::test]
async fn a_body_of_the_binary_extension_is_answered_in_kind() {
    let client = client(&[]).await;
    let request = json!({
        "inputs": [{
            "name": "image", "datatype": "UINT8", "shape": [2, 8, 8],
            "parameters": { "binary_data_size": 128 },
        }],
        "parameters": { "binary_data_output": true },
    });
    let json = request.to_string().into_bytes();
    let sent = [json.clone(), pixels(1), pixels(2)].concat();
    // As one client has it, without a word of what it is; and as another.
    for kind in [None, Some("application/octet-stream")] {
        let post = client.post(INFER).header("Inference-Header-Content-Length", json.len());
        let post = kind.into_iter().fold(post, TestRequestBuilder::content_type);
        let answer = post.body(sent.clone()).send().await;
        answer.assert_status_is_ok();
        answer.assert_content_type("application/octet-stream");
        let header = answer.0.header("inference-header-content-length").unwrap();
        let header: usize = header.parse().unwrap();
        let answer = answer.0.into_body().into_vec().await.unwrap();
        let (json, raw) = answer.split_at(header);
        let json: Value = serde_json::from_slice(json).unwrap();
        let size = &output(&json, "probabilities")["parameters"]["binary_data_size"];
        assert_eq!((size, raw.len()), (&json!(24), 24 + 16));
        assert_eq!(raw[24..], [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn server_and_model_say_what_they_are() {
    let client = client(&[]).await;
    let manifest = manifest("weights");
    let version = manifest.model_version.as_str();
    let get = async |path: &str| {
        let answer = client.get(path).send().await;
        answer.assert_status_is_ok();
        body(answer).await
    };
    let server = get("/v2").await;
    assert_eq!(server["version"], "1.2.3");
    assert_eq!(server["extensions"], json!(["binary_tensor_data"]));
    assert_eq!(get("/v2/health/live").await, json!({ "live": true }));
    assert_eq!(get("/v2/health/ready").await, json!({ "live": true, "ready": true }));
    assert_eq!(get("/v2/models").await, json!({ "models": ["sides"] }));
    let model = json!({
        "name": "sides",
        "versions": [version],
        "platform": "pytorch_torchscript",
        "inputs": [{ "name": "image", "datatype": "UINT8", "shape": [-1, 8, 8] }],
        "outputs": [
            { "name": "probabilities", "datatype": "FP32", "shape": [-1, 3] },
            { "name": "label", "datatype": "INT64", "shape": [-1] },
        ],
    });
    let of_version = |rest: &str| format!("/v2/models/sides/versions/{version}{rest}");
    assert_eq!(get("/v2/models/sides").await, model);
    assert_eq!(get(&of_version("")).await, model);
    let ready = json!({ "name": "sides", "ready": true });
    assert_eq!(get("/v2/models/sides/ready").await, ready);
    assert_eq!(get(&of_version("/ready")).await, ready);
    let request = tensor("UINT8", json!([1, 8, 8]), json!(pixels(1)));
    let answer = client.post(of_version("/infer")).body_json(&request).send().await;
    assert_eq!(output(&body(answer).await, "label")["data"], json!([1]));
}

#[tokio::test]
async fn the_index_lists_the_one_model_with_its_state() {
    let version = manifest("weights").model_version;
    let index = async |client: &TestClient<_>, text: &str| {
        let answer = client.post("/v2/repository/index").body(text.to_owned()).send().await;
        (answer.0.status().as_u16(), body(answer).await)
    };
    let warm = client(&[]).await;
    let ready = json!([{ "name": "sides", "version": version, "state": "READY", "reason": "" }]);
    for text in ["", "{}", r#"{"ready": true}"#, r#"{"ready": false}"#] {
        assert_eq!(index(&warm, text).await, (200, ready.clone()), "{text}");
    }
    assert_eq!(index(&warm, "{").await.1["code"], "malformed_json");
    assert_eq!(index(&warm, "[3]").await.1["code"], "malformed_request");

    let cold = TestClient::new(app::api::router(service(&[], classify)));
    let listed = cold.post("/v2/repository/index").send().await;
    let listed = body(listed).await;
    assert_eq!((&listed[0]["state"], listed[0]["reason"] == ""), (&json!("UNAVAILABLE"), false));
    let listed = cold.post("/v2/repository/index").body(r#"{"ready": true}"#).send().await;
    assert_eq!(body(listed).await, json!([]));
}

#[tokio::test]
async fn nothing_is_ready_before_the_model_is_warm() {
    let cold = TestClient::new(app::api::router(service(&[], classify)));
    let check = async |path: &str, status: u16| {
        let answer = cold.get(path).send().await;
        assert_eq!(answer.0.status().as_u16(), status, "{path}");
        let retry = answer.0.header("retry-after").map(str::to_owned);
        assert_eq!(retry.is_some(), status == 503, "{path}");
    };
    check("/v2/health/live", 200).await;
    check("/v2/health/ready", 503).await;
    check("/v2/models/sides/ready", 503).await;
    check("/v2/models/sides", 200).await;
    check("/v2/models/other/ready", 404).await;
}

#[tokio::test]
async fn another_model_or_version_is_nowhere_to_be_found() {
    let client = client(&[]).await;
    let version = manifest("weights").model_version;
    for rest in ["", "/ready", "/infer"] {
        for model in ["other", "Sides", "sides%20", "sides/versions/1", "other/versions/1"] {
            let path = format!("/v2/models/{model}{rest}");
            let method = if rest == "/infer" { Method::POST } else { Method::GET };
            let answer = client.request(method, &path).body("{").send().await;
            assert_eq!(answer.0.status().as_u16(), 404, "{path}");
            answer.assert_content_type("application/problem+json");
            let problem = body(answer).await;
            assert_eq!(problem["code"], "model_not_found", "{path}");
            let error = problem["error"].as_str().unwrap();
            assert!(error.contains("`sides`") && error.contains(version.as_str()), "{error}");
        }
    }
    // No text at all.
    client.get("/v2/models/%ff").send().await.assert_status(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_wrong_tensor_is_an_error_that_says_which_and_what_would_do() {
    let client = client(&["--max-batch", "2"]).await;
    let check = async |request: Value, status: u16, code: &str, pointer: &str, detail: &str| {
        let answer = infer(&client, &request).await;
        assert_eq!(answer.0.status().as_u16(), status, "{request}");
        answer.assert_content_type("application/problem+json");
        let problem = body(answer).await;
        assert_eq!(
            (&problem["code"], &problem["errors"][0]["pointer"]),
            (&json!(code), &json!(pointer))
        );
        let error = problem["error"].as_str().unwrap();
        assert!(error.contains(detail), "`{detail}` missing in `{error}`");
    };
    let wrong = "invalid_tensor";
    check(json!({}), 400, wrong, "", "`inputs`").await;
    let shape = tensor("UINT8", json!([1, 9, 9]), json!([]));
    check(shape, 400, wrong, "/inputs/0/shape", "[N,8,8]").await;
    let datatype = tensor("BOOL", json!([1, 8, 8]), json!([]));
    check(datatype, 400, wrong, "/inputs/0/datatype", "UINT8").await;
    let few = tensor("UINT8", json!([1, 8, 8]), json!([1, 2]));
    check(few, 400, wrong, "/inputs/0/data", "expected 64 elements").await;
    let mut value = json!(pixels(0));
    value[3] = json!(256);
    let value = tensor("UINT8", json!([1, 64]), value);
    check(value, 422, "invalid_image", "/inputs/0/data/3", "found 256").await;
    let file = tensor("BYTES", json!([2]), json!([STANDARD.encode(png(&image(0))), "AAAA"]));
    check(file, 422, "unreadable_picture", "/inputs/0/data/1", "neither a PNG").await;
    let many = tensor("UINT8", json!([3, 8, 8]), json!([]));
    check(many, 413, "too_many_images", "/inputs/0/shape", "at most 2").await;
}

#[tokio::test]
async fn bodies_are_limited_and_only_of_kinds_that_are_read() {
    let client = client(&["--body-limit", "1KiB"]).await;
    let check = async |headers: &[(&str, &str)], text: &str, code: &str| {
        let post = headers
            .iter()
            .fold(client.post(INFER), |post, (name, value)| post.header(*name, *value));
        let problem = body(post.body(text.to_owned()).send().await).await;
        assert_eq!(problem["code"], code, "{headers:?}");
    };
    check(&[], &" ".repeat(1025), "body_too_large").await;
    check(&[], "{", "malformed_json").await;
    check(&[("Content-Type", "application/json; charset=utf-8")], "{", "malformed_json").await;
    check(&[("Content-Type", "image/png")], "{}", "unsupported_media_type").await;
    check(&[("Content-Type", "text/plain")], "{}", "unsupported_media_type").await;
    check(&[("Content-Encoding", "gzip")], "{}", "unsupported_media_type").await;
    let length = "Inference-Header-Content-Length";
    check(&[(length, "x")], "{}", "malformed_request").await;
    check(&[(length, "3")], "{}", "malformed_request").await;
    check(&[(length, "1")], "{}", "malformed_json").await;
}

#[tokio::test]
async fn log_and_metrics_know_the_addresses_and_not_who_is_asked_for() {
    let client = client(&[]).await;
    let request = tensor("UINT8", json!([2, 8, 8]), json!([pixels(1), pixels(1)].concat()));
    infer(&client, &request).await.assert_status_is_ok();
    for i in 0..20 {
        client.get(format!("/v2/models/hostile-{i}/versions/{i}")).send().await;
    }
    let text = client.get("/metrics").send().await.0.into_body().into_string().await.unwrap();
    for part in [
        r#"inference_requests_total{model_name="sides",model_version=""#,
        r#"http_route="/v2/models/{model}/infer",http_response_status_code="200""#,
        r#"http_route="/v2/models/{model}/versions/{version}",http_response_status_code="404""#,
    ] {
        let labels: Vec<&str> = part.split(',').collect();
        let is_there = |line: &str| labels.iter().all(|label| line.contains(label));
        assert!(text.lines().any(is_there), "`{part}` missing in\n{text}");
    }
    let line = text.lines().find(|line| line.starts_with("prediction_class_total{class=\"right\""));
    assert!(line.unwrap().ends_with(" 2"), "{line:?}");
    assert!(!text.contains("hostile"), "{text}");
}
