use std::collections::BTreeSet;

use app::api::document::{self, committed};
use app::api::routes::Route;
use poem::test::TestResponse;
use protocol::problem::Code;
use serde_json::{Value, json};

use crate::harness::{KEY, body, client, client_of, image, manifest};

fn document() -> Value {
    serde_json::from_str(&committed()).unwrap()
}

#[test]
fn the_title_is_all_that_depends_on_the_model() {
    let mut served: Value = serde_json::from_str(&document::service("Other").spec()).unwrap();
    served["info"]["title"] = document()["info"]["title"].clone();
    assert_eq!(served, document());
}

#[tokio::test]
async fn a_model_of_generated_pictures_says_so_wherever_people_look() {
    let mut manifest = manifest("weights");
    manifest.data.name = "synthetic-sides".to_owned();
    let client = client_of(manifest).await;
    let title = "Which side is bright (synthetic-sides)";
    let model = body(client.get("/v1/model").send().await).await;
    assert_eq!((&model["title"], &model["data"]), (&json!(title), &json!("synthetic-sides")));
    let served = body(client.get("/openapi.json").send().await).await;
    assert_eq!(served["info"]["title"], title);
    let page = client.get("/docs").send().await.0.into_body().into_string().await.unwrap();
    assert!(page.contains(title));
}

#[test]
fn every_code_is_documented() {
    let document = document();
    let text = document["info"]["description"].as_str().unwrap();
    let listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap();
    let mut refusing = Vec::new();
    for operations in document["paths"].as_object().unwrap().values() {
        for operation in operations.as_object().unwrap().values() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                refusing.push(format!("{status} {}", response["description"]));
            }
        }
    }
    for code in Code::ALL {
        assert!(text.contains(&format!("| {} | `{}` |", code.status(), code.as_str())), "{code:?}");
        assert!(listed.contains(&json!(code.as_str())), "{code:?}");
        let of_routing = matches!(code, Code::NotFound | Code::MethodNotAllowed);
        let (status, name) = (code.status().to_string(), format!("`{}`", code.as_str()));
        let told = refusing.iter().any(|line| line.starts_with(&status) && line.contains(&name));
        assert_eq!(told, !of_routing, "{code:?}");
    }
}

#[test]
fn every_documented_address_is_a_route_that_allows_its_methods() {
    for (path, operations) in document()["paths"].as_object().unwrap() {
        let route = Route::of(path).unwrap_or_else(|| panic!("{path} is no route"));
        for method in operations.as_object().unwrap().keys() {
            assert!(route.methods().contains(&method.to_uppercase()), "{method} {path}");
        }
    }
}

/// Field names of an object, or of the objects in it, as paths.
fn fields(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(format!("{prefix}{name}"));
                fields(value, &format!("{prefix}{name}."), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, prefix, found)),
        _ => {}
    }
}

fn described(schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{prefix}{name}"));
        described(schema, &format!("{prefix}{name}."), found);
        described(&schema["items"], &format!("{prefix}{name}."), found);
    }
}

/// A body, or as much of it as is JSON.
async fn json(response: TestResponse) -> Value {
    let length = response.0.header("inference-header-content-length").map(str::to_owned);
    let body = response.0.into_body().into_vec().await.unwrap();
    let length = length.map_or(body.len(), |length| length.parse().unwrap());
    serde_json::from_slice(&body[..length]).unwrap()
}

#[tokio::test]
async fn bodies_have_the_fields_that_the_document_describes() {
    let client = client(&KEY).await;
    let pixels = image(0).pixels().to_vec();
    let tensor = json!({ "name": "image", "datatype": "UINT8", "shape": [1, 64], "data": pixels });
    let mixed = json!([
        { "name": "label", "parameters": { "binary_data": true } },
        { "name": "probabilities" },
    ]);
    let infer = json!({ "id": "1", "inputs": [tensor], "outputs": mixed });
    let predict = || client.post("/v1/predict?image=true");
    let answer = body(predict().body_json(&json!({ "image": pixels })).send().await).await;
    let report = json!({ "receipt": answer["receipt"], "label": 0 });
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let wrong = client.post("/v1/predict").header("traceparent", traced);
    let bodies = [
        ("Thanks", client.post("/v1/feedback").body_json(&report)),
        ("Answer", predict().body_json(&json!({ "image": pixels }))),
        ("BatchAnswer", client.post("/v1/predict/batch").body_json(&json!({ "images": [pixels] }))),
        ("Problem", wrong.body_json(&json!({ "image": [1] }))),
        ("Model", client.get("/v1/model")),
        ("Version", client.get("/version")),
        ("Health", client.get("/readyz?verbose")),
        ("InferResponse", client.post("/v2/models/sides/infer").body_json(&infer)),
        ("V2Server", client.get("/v2")),
        ("V2Live", client.get("/v2/health/live")),
        ("V2Ready", client.get("/v2/health/ready")),
        ("V2Models", client.get("/v2/models")),
        ("V2Model", client.get("/v2/models/sides")),
        ("V2ModelReady", client.get("/v2/models/sides/ready")),
        ("Index", client.post("/v2/repository/index")),
    ];
    for (name, request) in bodies {
        let (mut sent, mut told) = (BTreeSet::new(), BTreeSet::new());
        fields(&json(request.send().await).await, "", &mut sent);
        let schema = &document()["components"]["schemas"][name];
        described(schema, "", &mut told);
        described(&schema["items"], "", &mut told);
        assert_eq!(sent, told, "{name}");
    }
}

#[tokio::test]
async fn the_examples_of_the_document_work() {
    let client = client(&[]).await;
    for (path, name) in [
        ("/v1/predict", "PredictRequest"),
        ("/v1/predict/batch", "BatchRequest"),
        ("/v2/models/sides/infer", "InferRequest"),
    ] {
        let example = &document()["components"]["schemas"][name]["example"];
        client.post(path).body_json(example).send().await.assert_status_is_ok();
    }
}
