//! What callers hold dear is told nowhere: every route is asked, rightly and wrongly, with all that is secret, and
//! none of it is in anything that the service tells of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use contract::image::Image;
use e2e::model::quick;
use e2e::process::{command, run};
use e2e::server::Server;
use e2e::{data, repo};
use serde_json::{Value, json};

/// A token of an issuer whose key nobody has any more, and its key set.
const ISSUER: &str = include_str!("../fixtures/issuer.json");

/// Nothing of ours has this in it, so what has it was a caller's.
const MARK: &str = "5ecret";

/// Keeps all that it is sent, and says that it was taken.
fn sink() -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = Arc::clone(&taken);
    // Ends with the test's process: nothing else can end an `accept`.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            kept.lock().unwrap().extend(body);
            let taken = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(taken.as_bytes()).unwrap();
        }
    });
    (port, taken)
}

/// A request as it is written, by whoever need not keep to any rule.
fn ask(server: &Server, line: &str, headers: &[u8], body: &[u8]) -> (u16, Vec<u8>) {
    let address = server.url("").replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let length = format!("content-length: {}\r\n\r\n", body.len());
    let message = [head.as_bytes(), headers, length.as_bytes(), body].concat();
    // It may be refused before it is read to its end.
    stream.write_all(&message).unwrap_or_default();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_default();
    let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok());
    let status = status.and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

fn paths() -> Vec<String> {
    let manifest = quick().manifest().clone();
    let document = fs_err::read(repo::root().join("app/openapi.json")).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let documented = document["paths"].as_object().unwrap().keys().cloned();
    let others = ["/", "/metrics", "/docs", "/openapi.json", "/assets/page.js"];
    let all = documented.chain(others.map(str::to_owned)).map(|path| {
        let path = path.replace("{model}", &manifest.task.name);
        path.replace("{version}", manifest.model_version.as_str())
    });
    all.chain([format!("/{MARK}-path/%1b%5b31m%0a")]).collect()
}

/// Bodies by their kind.
fn bodies(image: &Image, receipt: &str) -> Vec<(&'static str, Vec<u8>)> {
    let picture = repo::root().join("app/src/api/example.png");
    let base64 = run(command("base64", &repo::root()).arg("-w0").arg(&picture)).success().stdout;
    let picture = fs_err::read(&picture).unwrap();
    let json = "application/json";
    let named = format!("{MARK}-name\u{1b}[31m");
    let tensor = json!({ "name": "image", "datatype": "BYTES", "shape": [1], "data": [base64] });
    let part = format!(
        "--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"{named}.png\"\r\n\
         content-type: image/png\r\n\r\n"
    );
    let form = |picture: &[u8]| [part.as_bytes(), picture, b"\r\n--b--\r\n"].concat();
    vec![
        (json, json!({ "image": image.pixels() }).to_string().into()),
        (json, json!({ "image": base64 }).to_string().into()),
        (json, json!({ "images": [image.pixels()] }).to_string().into()),
        (json, json!({ "image": [image.pixels(), named] }).to_string().into()),
        (json, format!("{{\"image\": \"{MARK}\u{1b}").into()),
        (json, json!({ "inputs": [tensor], "id": named }).to_string().into()),
        (
            json,
            json!({ "inputs": [{ "name": "image", "datatype": "BYTES", "shape": [1],
            "data": [named] }] })
            .to_string()
            .into(),
        ),
        (json, json!({ "receipt": receipt, "label": 1 }).to_string().into()),
        (json, json!({ "receipt": receipt, "label": 1000 }).to_string().into()),
        (json, json!({ "receipt": format!("{MARK}{receipt}"), "label": 1 }).to_string().into()),
        ("image/png", picture.clone()),
        ("image/png", [&picture[..40], MARK.as_bytes()].concat()),
        ("multipart/form-data; boundary=b", form(&picture)),
        ("multipart/form-data; boundary=b", form(MARK.as_bytes())),
        ("text/odd", MARK.into()),
    ]
}

/// Headers by who asks: nobody, those who may, and those who may not.
fn callers(key: &str, token: &str) -> [String; 6] {
    [
        String::new(),
        format!("x-api-key: {key}\r\n"),
        format!("authorization: Bearer {token}\r\n"),
        format!("x-api-key: ak_{MARK}\r\n"),
        format!("authorization: Bearer {token}{MARK}\r\n"),
        format!("authorization: Basic {MARK}\r\nauthorization: {MARK}\r\n"),
    ]
}

/// What is no text, what colours a terminal, and what would begin a line of its own.
const HOSTILE: [&[u8]; 5] = [
    b"cookie: session=5ecret\r\nuser-agent: 5ecret\r\norigin: https://5ecret.example\r\n",
    b"x-request-id: \xff\x9b31m5ecret\r\ntraceparent: 00-5ecret\r\nbaggage: a=5ecret\r\n",
    b"x-request-id: 5ecret\x1b[31m\r\n",
    b"x-request-id: a\r\n 5ecret\r\ncontent-encoding: odd\r\n",
    b"forwarded: for=5ecret\r\ninference-header-content-length: 5ecret\r\n",
];

#[test]
fn nothing_that_a_caller_keeps_secret_is_told_anywhere() {
    let issuer: Value = serde_json::from_str(ISSUER).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut program = command(repo::release_binary("mnist-api"), &repo::root());
    let made = program.args(["key", "keeper-5ecret", "--scopes", "predict,feedback,admin"]);
    let made = run(made).success().stdout;
    let (key, line) = made.trim_end().split_once('\n').unwrap();
    let (port, spans) = sink();
    let (records, seal) = (file("records", ""), "5ecret-key-of-receipts-0123456789abcdef");
    let arguments = [
        ["--api-keys-file", &file("keys", line)],
        ["--jwt-keys", &file("issuer", &issuer["keys"].to_string())],
        ["--jwt-issuer", "i"],
        ["--jwt-audience", "a"],
        ["--rate-limit", "100000/s"],
        ["--cors-origins", "https://pages.example"],
        ["--feedback-key-file", &file("seal", seal)],
        ["--records", &records],
        ["--otel-exporter-otlp-endpoint", &format!("http://127.0.0.1:{port}")],
        ["--otel-exporter-otlp-headers", "authorization=Bearer%205ecret-of-the-collector"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<String>>();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut server = Server::start(quick().path(), &arguments);

    let token = issuer["token"].as_str().unwrap();
    let (_, image) = data::probes().0.swap_remove(0);
    let pixels = json!({ "image": image.pixels() }).to_string();
    let known = format!("x-api-key: {key}\r\ncontent-type: application/json\r\n");
    let (status, answer) = ask(&server, "POST /v1/predict", known.as_bytes(), pixels.as_bytes());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert_eq!(status, 200, "{answer}");
    let (_, receipt) = answer.split_once("\"receipt\":\"").unwrap();
    let receipt = receipt.split('"').next().unwrap();

    let callers = callers(key, token);
    let bodies = bodies(&image, receipt);
    let middle = image.pixels().len() / 2;
    let seen: Vec<String> = image.pixels()[middle..middle + 20].iter().map(u8::to_string).collect();
    let base64 = String::from_utf8(bodies[1].1.clone()).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let secrets = [MARK, key, signature, receipt, &seen.join(","), &base64[20..60]];
    let told = |place: &str, text: &[u8]| {
        // In what is binary any byte may be.
        let controls: &[&str] = if place == "the spans" { &[] } else { &["\u{1b}", "\u{9b}"] };
        for secret in secrets.iter().chain(controls) {
            let shown = || String::from_utf8_lossy(text).into_owned();
            assert!(!contains(text, secret), "`{secret}` in {place}:\n{}", shown());
        }
    };
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    let mut turn = 0;
    for path in paths() {
        for caller in &callers {
            for (kind, body) in &bodies {
                let method = ["POST", "POST", "POST", "GET", "DELETE"][turn % 5];
                let headers = HOSTILE.get(turn % 7).copied().unwrap_or_default();
                turn += 1;
                let kind = format!("content-type: {kind}\r\n");
                let headers = [caller.as_bytes(), kind.as_bytes(), headers].concat();
                let line = format!("{method} {path}?token={MARK}");
                let (status, answer) = ask(&server, &line, &headers, body);
                *statuses.entry(status).or_default() += 1;
                // A problem names the path that was asked for, to whoever asked.
                if status >= 400 && !path.contains(MARK) {
                    told(&line, &answer);
                }
            }
        }
    }
    for status in [200, 400, 401, 403, 404, 405, 415, 422] {
        assert!(statuses.contains_key(&status), "{statuses:?}");
    }
    assert!(!statuses.keys().any(|status| *status >= 500), "{statuses:?}");

    let known = format!("x-api-key: {key}\r\n");
    told("the metrics", &ask(&server, "GET /metrics", known.as_bytes(), &[]).1);
    server.signal("TERM");
    assert!(server.ended().success());
    let log = server.log();
    told("the log", log.as_bytes());
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    let records = fs_err::read(records).unwrap();
    told("the records", &records);
    let spans = spans.lock().unwrap();
    told("the spans", &spans);
    assert!(contains(&records, "\"client\":") && contains(&spans, "/v1/predict"));
}
