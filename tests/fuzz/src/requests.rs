//! Requests of every route, whole at first, and then not.

use std::fmt::Write as _;

use fastrand::Rng;
use serde_json::json;

use crate::bodies::pictures;
use crate::mutation::mutate;
use crate::tensors::binary;

/// The model that is asked, as it tells of itself.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub version: String,
    /// Values in one image.
    pub values: usize,
}

#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What goes over the wire, and whether the connection is of use afterwards.
pub struct Sent {
    pub bytes: Vec<u8>,
    pub is_whole: bool,
}

const JSON: &str = "application/json";
const HEADER: &str = "inference-header-content-length";
const KINDS: [&str; 6] = [
    JSON,
    "image/png",
    "image/jpeg",
    "multipart/form-data",
    "application/octet-stream",
    "a/b; \"c",
];

impl Request {
    fn get(path: &str) -> Self {
        let (method, path) = ("GET".to_owned(), path.to_owned());
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    fn post(path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Self { method: "POST".to_owned(), path: path.to_owned(), headers, body: body.into() }
    }

    /// One of them all.
    pub fn any(all: &[Self], random: &mut Rng) -> Sent {
        let mut request = all[random.usize(..all.len())].clone();
        match random.u8(0..20) {
            0 => request.method = one_of(&["PUT", "HEAD", "OPTIONS", "get", "@"], random),
            1 => request.path = visible(&request.path, random),
            2 => request.headers.clear(),
            3 => request.headers = vec![("content-type".to_owned(), one_of(&KINDS, random))],
            4 => {
                let names =
                    ["traceparent", "x-request-id", "content-encoding", HEADER, "x-api-key"];
                let value =
                    visible("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", random);
                request.headers.push((one_of(&names, random), value));
            }
            // What hyper reads, and what it does not.
            5 => return Sent { bytes: mutate(&request.bytes(), random), is_whole: false },
            6 => {
                let mut bytes = request.bytes();
                bytes.truncate(random.usize(..bytes.len()));
                return Sent { bytes, is_whole: false };
            }
            _ if request.body.is_empty() => request.path = visible(&request.path, random),
            _ => request.body = mutate(&request.body, random),
        }
        Sent { bytes: request.bytes(), is_whole: request.method.starts_with(['G', 'P']) }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: localhost\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes all");
        }
        write!(head, "content-length: {}\r\n\r\n", self.body.len()).expect("a string takes all");
        [head.as_bytes(), &self.body].concat()
    }
}

fn one_of(words: &[&str], random: &mut Rng) -> String {
    words[random.usize(..words.len())].to_owned()
}

/// Mutated, and still one line.
fn visible(text: &str, random: &mut Rng) -> String {
    let bytes = mutate(text.as_bytes(), random);
    bytes.into_iter().filter(u8::is_ascii_graphic).take(2000).map(char::from).collect()
}

/// Every route is asked well.
pub fn of_every_route(model: &Model) -> Vec<Request> {
    let Model { name, version, values } = model;
    let (by_name, by_version) =
        (format!("/v2/models/{name}"), format!("/v2/models/{name}/versions/{version}"));
    let image: Vec<usize> = (0..*values).map(|value| value % 256).collect();
    let tensor = |datatype: &str, data: serde_json::Value, shape: serde_json::Value| json!({ "name": "image", "datatype": datatype, "shape": shape, "data": data });
    let numbers =
        json!({ "id": "1", "inputs": [tensor("UINT8", json!(image), json!([1, values]))] });
    let files = pictures();
    let raw: Vec<u8> = image.iter().flat_map(|value| u8::try_from(*value)).collect();
    let mut tensors = json!({ "inputs": [binary("UINT8", &json!([1, values]), raw.len())] })
        .to_string()
        .into_bytes();
    let header = (HEADER.to_owned(), tensors.len().to_string());
    tensors.extend(&raw);
    let mut requests = vec![
        Request::post("/v1/predict?image=true", JSON, json!({ "image": image }).to_string()),
        Request::post("/v1/predict/batch", JSON, json!({ "images": [image, image] }).to_string()),
        Request::post("/v1/feedback", JSON, json!({ "receipt": "AAAA", "label": 1 }).to_string()),
        Request::post("/v2/repository/index", JSON, json!({ "ready": true }).to_string()),
        Request::post(&format!("{by_name}/infer"), JSON, numbers.to_string()),
        Request::post(&format!("{by_version}/infer"), JSON, numbers.to_string()),
        Request {
            headers: vec![header],
            ..Request::post(&format!("{by_name}/infer"), JSON, tensors)
        },
    ];
    for file in files {
        let kind = if file.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
        let head = b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n";
        let form = [&head[..], &file, b"\r\n--x--\r\n"].concat();
        requests.push(Request::post("/v1/predict", kind, file));
        requests.push(Request::post("/v1/predict", "multipart/form-data; boundary=x", form));
    }
    let paths = [
        "/",
        "/assets/page.js",
        "/v1/model",
        "/version",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/livez",
        "/readyz?verbose",
        "/metrics",
        "/docs",
        "/openapi.json",
    ];
    requests.extend(paths.map(Request::get));
    requests.extend(
        [by_name, by_version]
            .iter()
            .flat_map(|path| [Request::get(path), Request::get(&format!("{path}/ready"))]),
    );
    requests
}
