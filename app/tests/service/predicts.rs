use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use poem::http::{Method, StatusCode};
use poem::test::{TestForm, TestFormField};
use serde_json::json;

use crate::harness::{body, client, encode, image, png};

#[tokio::test]
async fn one_picture_in_every_spelling_has_the_same_answer() {
    let client = client(&[]).await;
    for label in 0..3 {
        let image = image(label);
        let rows: Vec<&[u8]> = image.pixels().chunks(8).collect();
        let json = [
            json!({ "image": image.pixels() }),
            json!({ "image": rows }),
            json!({ "image": STANDARD.encode(png(&image)) }),
        ];
        let mut answers = Vec::new();
        for json in &json {
            answers.push(client.post("/v1/predict").body_json(json).send().await);
        }
        let raw = client.post("/v1/predict").content_type("image/png").body(png(&image));
        answers.push(raw.send().await);
        let jpeg = encode(&image, ImageFormat::Jpeg);
        let raw = client.post("/v1/predict").content_type("image/jpeg").body(jpeg);
        answers.push(raw.send().await);
        let form = TestForm::new()
            .text("comment", "look")
            .field(TestFormField::bytes(png(&image)).name("x").filename("x.png"));
        answers.push(client.post("/v1/predict").multipart(form).send().await);
        for answer in answers {
            answer.assert_status_is_ok();
            let id = answer.0.header("x-request-id").unwrap().to_owned();
            let version = answer.0.header("x-model-version").unwrap().to_owned();
            assert!(answer.0.header("server-timing").unwrap().starts_with("decode;dur="));
            let answer = body(answer).await;
            assert_eq!(answer["label"], label);
            assert_eq!(answer["name"], ["left", "right", "none"][label]);
            assert_eq!(answer["confidence"], 0.75);
            assert_eq!(answer["probabilities"].as_array().unwrap().len(), 3);
            assert_eq!(
                (&answer["request_id"], &answer["model_version"]),
                (&json!(id), &json!(version))
            );
        }
    }
}

#[tokio::test]
async fn the_image_that_the_model_saw_has_the_same_answer_when_it_is_sent() {
    let client = client(&[]).await;
    let large = image::imageops::resize(
        &image::load_from_memory(&png(&image(1))).unwrap(),
        40,
        40,
        image::imageops::FilterType::Nearest,
    );
    let mut bytes = std::io::Cursor::new(Vec::new());
    large.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let ask = client.post("/v1/predict?image=true").content_type("image/png");
    let answer = body(ask.body(bytes.into_inner()).send().await).await;
    assert_eq!(answer["image"].as_array().unwrap().len(), 64);
    let again = client.post("/v1/predict").body_json(&json!({ "image": answer["image"] }));
    let again = body(again.send().await).await;
    assert_eq!(again["probabilities"], answer["probabilities"]);
    assert!(again.get("image").is_none(), "{again}");
    let unclear = client.post("/v1/predict?image=perhaps").body_json(&json!({ "image": [] }));
    assert_eq!(body(unclear.send().await).await["code"], "malformed_request");
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let client = client(&[]).await;
    let images = [2, 0, 1, 0].map(|label| image(label).pixels().to_vec());
    let json =
        json!({ "images": [images[0], STANDARD.encode(png(&image(0))), images[2], images[3]] });
    let answer = body(client.post("/v1/predict/batch").body_json(&json).send().await).await;
    let labels: Vec<_> =
        answer["predictions"].as_array().unwrap().iter().map(|p| p["label"].clone()).collect();
    assert_eq!(labels, [2, 0, 1, 0]);
}

#[tokio::test]
async fn every_answer_says_who_gave_it() {
    let client = client(&[]).await;
    let cases = [
        (Method::GET, "/version", 200),
        (Method::GET, "/v1/model", 200),
        (Method::GET, "/livez", 200),
        (Method::HEAD, "/readyz", 200),
        (Method::GET, "/readyz?verbose", 200),
        (Method::GET, "/metrics", 200),
        (Method::GET, "/docs", 200),
        (Method::GET, "/openapi.json", 200),
        (Method::GET, "/", 200),
        (Method::HEAD, "/assets/style.css", 200),
        (Method::GET, "/assets/nothing", 404),
        (Method::GET, "/v1/feedback", 405),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/v1/predict/", 404),
        (Method::DELETE, "/v1/model", 405),
        (Method::POST, "/docs", 405),
        (Method::POST, "/v1/predict", 415),
    ];
    for (method, path, status) in cases {
        let answer = client.request(method, path).send().await;
        assert_eq!(answer.0.status().as_u16(), status, "{path}");
        answer.assert_header("x-app-version", "1.2.3");
        answer.assert_header("x-model-name", "sides");
        for header in ["x-request-id", "x-model-version", "x-model-digest"] {
            answer.assert_header_exist(header);
        }
    }
}

#[tokio::test]
async fn an_id_is_kept_if_it_is_harmless_and_replaced_if_not() {
    let client = client(&[]).await;
    let check = async |given: &str, kept: bool| {
        let answer = client.get("/version").header("X-Request-Id", given).send().await;
        let found = answer.0.header("x-request-id").unwrap();
        assert_eq!(found == given, kept, "{given}");
        assert!(kept || found.len() == 36, "{found}");
    };
    check("order-66/\"a\"", true).await;
    check(&"x".repeat(128), true).await;
    check(&"x".repeat(129), false).await;
    check("", false).await;
    check("two words", false).await;
    check("tab\tbed", false).await;
}

#[tokio::test]
async fn the_model_and_its_versions_can_be_asked_for() {
    let client = client(&[]).await;
    let model = body(client.get("/v1/model").send().await).await;
    assert_eq!(model["classes"], json!(["left", "right", "none"]));
    assert_eq!(model["input"], json!({ "height": 8, "width": 8, "channels": 1 }));
    let version = body(client.get("/version").send().await).await;
    assert_eq!(
        (&version["app_version"], &version["model_digest"]),
        (&json!("1.2.3"), &model["digest"])
    );
    let ready = body(client.get("/readyz?verbose").send().await).await;
    assert_eq!(ready["checks"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let client = client(&[]).await;
    let page = client.get("/docs").send().await;
    page.assert_status(StatusCode::OK);
    let page = page.0.into_body().into_string().await.unwrap();
    for tag in ["<script src", "<link rel=\"stylesheet\"", "@import"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert!(page.contains("SwaggerUIBundle(") && page.contains("Which side is bright"));
}
