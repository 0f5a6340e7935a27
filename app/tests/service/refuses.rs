use std::sync::mpsc;

use app::access::keys::mint;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::image::Image;
use contract::prediction::Scores;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use poem::test::{TestClient, TestForm, TestResponse};
use poem::{Body, Endpoint, Response};
use protocol::problem::Code;
use serde_json::{Value, json};

use crate::feedback;
use crate::harness::{CLASSES, Client, body, classify, client, file, image, png, service};

/// A request to a service of which each is refused with this code.
async fn provoke(code: Code) -> TestResponse {
    match code {
        Code::MalformedJson => post_json(&client(&[]).await, "{").await,
        Code::MalformedRequest => {
            let form = TestForm::new().text("comment", "no file");
            client(&[]).await.post("/v1/predict").multipart(form).send().await
        }
        Code::InvalidTensor => {
            client(&[]).await.post("/v2/models/sides/infer").body("{}").send().await
        }
        Code::ModelNotFound => client(&[]).await.get("/v2/models/other").send().await,
        Code::Unauthenticated => predict(&keyed("predict").await.0).await,
        Code::Forbidden => {
            let (client, key) = keyed("feedback").await;
            client.post("/v1/predict").header("X-API-Key", key).send().await
        }
        Code::NotFound => client(&[]).await.get("/v2/predict").send().await,
        Code::MethodNotAllowed => client(&[]).await.get("/v1/predict").send().await,
        Code::RequestTimeout => {
            let never = stream::pending::<Result<Vec<u8>, std::io::Error>>();
            let client = client(&["--request-timeout", "20ms"]).await;
            let request = client.post("/v1/predict").content_type("image/png");
            request.body(Body::from_bytes_stream(never)).send().await
        }
        Code::BodyTooLarge => {
            let client = client(&["--body-limit", "1KiB"]).await;
            client.post("/v1/predict").content_type("image/png").body(vec![0; 1025]).send().await
        }
        Code::PictureTooLarge => {
            let mut png = std::io::Cursor::new(Vec::new());
            image::GrayImage::new(4097, 1).write_to(&mut png, image::ImageFormat::Png).unwrap();
            let body = json!({ "image": STANDARD.encode(png.into_inner()) }).to_string();
            post_json(&client(&[]).await, &body).await
        }
        Code::TooManyImages => {
            let images = vec![image(0).pixels().to_vec(); 3];
            let client = client(&["--max-batch", "2"]).await;
            client.post("/v1/predict/batch").body_json(&json!({ "images": images })).send().await
        }
        Code::UnsupportedMediaType => {
            let client = client(&[]).await;
            client.post("/v1/predict/batch").content_type("image/png").body("x").send().await
        }
        Code::InvalidImage => post_json(&client(&[]).await, r#"{"image": [1, 2, 256]}"#).await,
        Code::UnreadablePicture => {
            let client = client(&[]).await;
            client.post("/v1/predict").content_type("image/png").body("GIF89a").send().await
        }
        Code::BlankPicture => {
            let blank = Image::new(crate::harness::SHAPE, vec![0; 64]).unwrap();
            let client = client(&[]).await;
            client.post("/v1/predict").content_type("image/png").body(png(&blank)).send().await
        }
        Code::RateLimited => {
            let client = client(&["--rate-limit", "1/m"]).await;
            predict(&client).await;
            predict(&client).await
        }
        Code::Overloaded => {
            let stuck = stuck(&["--queue-depth", "1", "--max-batch", "1"]);
            // One is computed, one waits, and the rest is too many.
            let mut calls: FuturesUnordered<_> = (0..3).map(|_| predict(&stuck.client)).collect();
            calls.next().await.unwrap()
        }
        Code::Internal => {
            let failing = |_: &[Image]| Err("secret path /models/x".to_owned());
            predict(&TestClient::new(app::api::router(service(&[], failing)))).await
        }
        Code::Unavailable => {
            let cold = TestClient::new(app::api::router(service(&[], classify)));
            cold.get("/readyz").send().await
        }
        Code::DeadlineExceeded => predict(&stuck(&["--request-timeout", "30ms"]).client).await,
        Code::FeedbackOff
        | Code::OtherModel
        | Code::ExpiredReceipt
        | Code::InvalidFeedback
        | Code::InvalidReceipt
        | Code::UnknownLabel => feedback::refused(code).await,
    }
}

/// A service to which one key is known, and that key.
async fn keyed(scopes: &str) -> (Client, String) {
    let folder = tempfile::tempdir().unwrap();
    let (key, line) = mint("shop", scopes.parse().unwrap()).unwrap();
    (client(&["--api-keys-file", &file(&folder, "keys", &line)]).await, key)
}

async fn post_json(client: &TestClient<impl Endpoint>, body: &str) -> TestResponse {
    let body = body.to_owned();
    client.post("/v1/predict").content_type("application/json").body(body).send().await
}

async fn predict(client: &TestClient<impl Endpoint>) -> TestResponse {
    post_json(client, &json!({ "image": image(0).pixels() }).to_string()).await
}

/// A service whose model comes to no end before this is dropped.
struct Stuck<E> {
    _end: mpsc::Sender<()>,
    client: TestClient<E>,
}

fn stuck(args: &[&str]) -> Stuck<impl Endpoint<Output = Response>> {
    let (end, ended) = mpsc::channel();
    let classify =
        move |_: &[Image]| ended.recv().map_err(|error| error.to_string()).map(|()| vec![]);
    Stuck { _end: end, client: TestClient::new(app::api::router(service(args, classify))) }
}

#[tokio::test]
async fn every_code_is_answered_as_a_problem_with_its_status() {
    for code in Code::ALL {
        let response = provoke(code).await;
        assert_eq!(response.0.status().as_u16(), code.status(), "{code:?}");
        response.assert_content_type("application/problem+json");
        let retry = response.0.header("retry-after").map(str::to_owned);
        assert_eq!(retry.is_some(), code.retry_after().is_some(), "{code:?}");
        let allow = response.0.header("allow").map(str::to_owned);
        assert_eq!(allow.as_deref(), (code == Code::MethodNotAllowed).then_some("POST"));
        let id = response.0.header("x-request-id").unwrap().to_owned();
        let problem = body(response).await;
        assert_eq!((&problem["code"], &problem["request_id"]), (&json!(code.as_str()), &json!(id)));
        assert_eq!(
            (&problem["status"], &problem["error"]),
            (&json!(code.status()), &problem["detail"])
        );
        let told = problem.to_string();
        for secret in ["secret", "/models/x", "src/", "Error", "unwrap", "::"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[tokio::test]
async fn a_mistake_in_a_body_is_named_by_its_place() {
    let client = client(&[]).await;
    let check = async |path: &str, json: Value, pointer: &str| {
        let problem = body(client.post(path).body_json(&json).send().await).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    };
    check("/v1/predict", json!({ "image": [300] }), "/image/0").await;
    check("/v1/predict", json!({ "image": "AAAA" }), "/image").await;
    let images = json!([image(0).pixels(), "AAAA"]);
    check("/v1/predict/batch", json!({ "images": images }), "/images/1").await;
    check("/v1/predict/batch", json!({ "image": 1 }), "/image").await;
}

#[tokio::test]
async fn a_form_of_many_parts_is_refused_and_one_with_its_picture_among_few_is_not() {
    let client = client(&[]).await;
    let send = async |parts: usize| {
        let form =
            (0..parts).fold(TestForm::new(), |form, _| form.text("comment", "x".repeat(4096)));
        let file = poem::test::TestFormField::bytes(png(&image(1))).filename("7.png");
        let request = client.post("/v1/predict").multipart(form.field(file));
        body(request.send().await).await
    };
    assert_eq!(send(31).await["name"], CLASSES[1]);
    let refused = send(32).await;
    assert_eq!(refused["code"], "malformed_request");
    assert!(
        refused["detail"].as_str().unwrap().contains("no file among its first 32"),
        "{refused}"
    );
}

#[tokio::test]
async fn large_pictures_wait_within_bounds_and_small_ones_do_not_wait_for_them() {
    let client = client(&["--request-timeout", "60s"]).await;
    let mut large = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(4096, 4096).write_to(&mut large, image::ImageFormat::Png).unwrap();
    let send = |picture: Vec<u8>| {
        let request = client.post("/v1/predict").content_type("image/png");
        request.body(picture).send()
    };
    let lanes = (app::config::cores() / 4).max(1);
    let mut calls: FuturesUnordered<_> =
        (0..=9 * lanes).map(|_| send(large.get_ref().clone())).collect();
    // The first to be answered is the one too many.
    let refused = calls.next().await.unwrap();
    refused.assert_header("retry-after", "1");
    assert_eq!(body(refused).await["code"], "overloaded");
    assert_eq!(body(send(png(&image(1))).await).await["name"], CLASSES[1]);
    assert!(calls.next().now_or_never().is_none(), "the large ones were not waited for");
    drop(calls);
}

#[tokio::test]
async fn a_compressed_body_is_not_read() {
    let client = client(&[]).await;
    let request = client.post("/v1/predict").content_type("application/json");
    let response = request.header("Content-Encoding", "gzip").body("{}").send().await;
    assert_eq!(body(response).await["code"], "unsupported_media_type");
}

#[tokio::test]
async fn a_panic_fails_its_own_request_and_no_other() {
    let classify = |images: &[Image]| -> Result<Vec<Scores>, String> {
        match images[0].pixels()[0] {
            9 => panic!("on purpose"),
            _ => classify(images),
        }
    };
    let client = TestClient::new(app::api::router(service(&[], classify)));
    let mut pixels = image(0).pixels().to_vec();
    pixels[0] = 9;
    let response = client.post("/v1/predict").body_json(&json!({ "image": pixels })).send().await;
    assert_eq!(body(response).await["code"], "internal");
    assert_eq!(body(predict(&client).await).await["name"], CLASSES[0]);
}

#[tokio::test]
async fn a_model_that_keeps_failing_is_left_alone_for_as_long_as_its_callers_are_told_to_wait() {
    let failing = |_: &[Image]| Err("on purpose".to_owned());
    let service = service(&["--breaker-failures", "3"], failing);
    let client = TestClient::new(app::api::router(service));
    for _ in 0..3 {
        assert_eq!(body(predict(&client).await).await["code"], "internal");
    }
    let refused = predict(&client).await;
    refused.assert_header("retry-after", "5");
    assert_eq!(body(refused).await["code"], "unavailable");
    let metrics = client.get("/metrics").send().await.0.into_body().into_string().await.unwrap();
    assert!(metrics.contains("inference_breaker_open 1"), "{metrics}");
}

#[tokio::test]
async fn a_panic_in_an_operation_is_a_problem_like_any_other() {
    let service = service(&[], classify);
    let broken = poem::endpoint::make_sync(|_| -> Response { panic!("on purpose") });
    let client = TestClient::new(app::envelope::Envelope::around(broken, service));
    let response = client.get("/version").send().await;
    response.assert_header("x-app-version", "1.2.3");
    assert_eq!(body(response).await["code"], "internal");
}

/// Sixteen of the largest bodies that bring this and then nothing, beside which a large one and a
/// small one come whole.
async fn beside_unfinished(brought: Vec<u8>, large: &str) {
    let client = client(&["--body-limit", "1MiB", "--request-timeout", "60s"]).await;
    let unfinished = || {
        let brought = stream::iter([Ok::<_, std::io::Error>(brought.clone())]);
        let request = client.post("/v1/predict").content_type("image/png");
        let request = request.header("Content-Length", 1 << 20);
        request.body(Body::from_bytes_stream(brought.chain(stream::pending()))).send()
    };
    let send_large = async || {
        let request = client.post("/v1/predict").content_type("image/png");
        body(request.body(vec![0; 100 << 10]).send().await).await["code"].clone()
    };
    let mut calls: FuturesUnordered<_> = (0..16).map(|_| unfinished()).collect();
    assert!(calls.next().now_or_never().is_none(), "an unfinished body was answered");
    assert_eq!(send_large().await, large);
    assert_eq!(predict(&client).await.0.status().as_u16(), 200);
    drop(calls);
    assert_eq!(send_large().await, "unreadable_picture");
}

#[tokio::test]
async fn bodies_that_do_not_end_cannot_fill_the_memory() {
    beside_unfinished(vec![0; 1 << 20], "overloaded").await;
}

#[tokio::test]
async fn bodies_that_are_promised_and_do_not_come_keep_nobody_out() {
    beside_unfinished(vec![], "unreadable_picture").await;
}
