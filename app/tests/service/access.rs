use app::access::keys::mint;
use poem::http::Method;
use poem::test::TestResponse;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Client, Running, body, client, file, image, logged, until};

const PREDICT: Method = Method::POST;
const READ: Method = Method::GET;

/// Keys of these scopes, and the arguments that make them known.
fn keys<const N: usize>(folder: &TempDir, scopes: [&str; N]) -> ([String; N], [String; 2]) {
    let minted = scopes.map(|scopes| mint("shop", scopes.parse().unwrap()).unwrap());
    let lines: Vec<&str> = minted.iter().map(|(_, line)| line.as_str()).collect();
    let args = ["--api-keys-file".to_owned(), file(folder, "keys", &lines.join("\n"))];
    (minted.clone().map(|(key, _)| key), args)
}

async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> TestResponse {
    let body = if method == PREDICT { json!({ "image": image(1).pixels() }) } else { json!(null) };
    let request = client.request(method, path).body_json(&body);
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .send()
        .await
}

#[tokio::test]
async fn every_route_asks_for_its_scope_once_keys_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let ([predict, feedback, admin], args) = keys(&folder, ["predict", "feedback", "admin"]);
    let client = client(&args.each_ref().map(String::as_str)).await;
    let check = async |method: Method, path: &str, key: &str, status: u16| {
        let bearer = format!("Bearer {key}");
        for (name, value) in [("x-api-key", key), ("authorization", bearer.as_str())] {
            let headers = if key.is_empty() { vec![] } else { vec![(name, value)] };
            let response = ask(&client, method.clone(), path, &headers).await;
            assert_eq!(response.0.status().as_u16(), status, "{path} with {headers:?}");
            let challenge = response.0.header("www-authenticate").map(str::to_owned);
            assert_eq!(challenge.as_deref(), (status == 401).then_some("Bearer"));
        }
    };
    for path in ["/v1/predict", "/v1/model", "/version"] {
        let method = if path == "/v1/predict" { PREDICT } else { READ };
        for (key, status) in
            [("", 401), ("ak_unknown", 401), (&predict, 200), (&feedback, 403), (&admin, 403)]
        {
            check(method.clone(), path, key, status).await;
        }
    }
    for (key, status) in [("", 401), (&predict, 403), (&admin, 200)] {
        check(READ, "/metrics", key, status).await;
    }
    for path in ["/v2", "/v2/models/sides", "/v2/models/sides/ready", "/v2/models/other"] {
        for (key, status) in [("", 401), (&feedback, 403)] {
            check(READ, path, key, status).await;
        }
    }
    check(PREDICT, "/v2/models/sides/infer", "", 401).await;
    check(PREDICT, "/v2/models/sides/infer", &feedback, 403).await;
    // Let in, and told that this is no tensor.
    check(PREDICT, "/v2/models/sides/infer", &predict, 400).await;
    for path in ["/livez", "/readyz", "/v2/health/ready", "/docs", "/openapi.json"] {
        check(READ, path, "", 200).await;
    }
    // Spellings that might be routed and not be recognised.
    for path in ["/nowhere", "/v1/predict/", "//v1/predict", "/v1/%70redict", "/v1/../v1/predict"] {
        check(PREDICT, path, "", 404).await;
    }
}

#[tokio::test]
async fn of_two_credentials_none_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let ([key], args) = keys(&folder, ["predict"]);
    let client = client(&args.each_ref().map(String::as_str)).await;
    let bearer = format!("Bearer {key}");
    let both = [("x-api-key", key.as_str()), ("authorization", bearer.as_str())];
    let problem = body(ask(&client, PREDICT, "/v1/predict", &both).await).await;
    assert_eq!(problem["code"], "unauthenticated");
    assert!(!problem.to_string().contains(&key));
}

#[test]
fn a_key_that_is_added_opens_and_one_that_is_taken_out_does_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let ([old], args) = keys(&folder, ["predict"]);
    let running = Running::of(&args.each_ref().map(String::as_str));
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let status = |key: &str| {
        let url = format!("http://{}/v1/model", running.address);
        agent.get(&url).header("X-API-Key", key).call().unwrap().status().as_u16()
    };
    assert_eq!(status(&old), 200);
    let (new, line) = mint("shop", "predict".parse().unwrap()).unwrap();
    assert_eq!(status(&new), 401);
    file(&folder, "keys", &line);
    until(&(200, 401), || (status(&new), status(&old)));
    // The last one is taken out like any other.
    file(&folder, "keys", "");
    until(&401, || status(&new));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no library in here makes pipes")]
fn what_cannot_be_read_is_told_by_a_metric_and_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ([old], args) = keys(&folder, ["admin,predict"]);
    let running = Running::of(&args.each_ref().map(String::as_str));
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let ask = |path: &str, key: &str| {
        let url = format!("http://{}{path}", running.address);
        agent.get(&url).header("X-API-Key", key).call().unwrap()
    };
    let succeeded = |key: &str| {
        let page = ask("/metrics", key).body_mut().read_to_string().unwrap();
        let name = "config_last_reload_successful{source=\"api_keys\"} ";
        page.split(name).nth(1).map(|rest| rest.starts_with('1'))
    };
    assert_eq!(succeeded(&old), Some(true));
    // Nobody ever writes to it, so whoever opens it to read waits.
    let (pipe, keys) = (folder.path().join("pipe"), folder.path().join("keys"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs_err::rename(&pipe, &keys).unwrap();
    until(&Some(false), || succeeded(&old));
    let (new, line) = mint("shop", "admin".parse().unwrap()).unwrap();
    fs_err::remove_file(&keys).unwrap();
    file(&folder, "keys", &line);
    until(&Some(true), || succeeded(&new));
}

#[tokio::test]
async fn each_client_has_its_own_share_and_whoever_guesses_keys_has_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let (key, line) = mint("shop", "predict".parse().unwrap()).unwrap();
    let (other, other_line) = mint("lab", "predict".parse().unwrap()).unwrap();
    let file = file(&folder, "keys", &format!("{line}\n{other_line}"));
    let client = client(&["--api-keys-file", &file, "--rate-limit", "3/m"]).await;
    let check = async |key: &str, expected: &[u16]| {
        for expected in expected {
            let response = ask(&client, PREDICT, "/v1/predict", &[("x-api-key", key)]).await;
            assert_eq!(response.0.status().as_u16(), *expected, "{key}");
            let retry: Option<u32> = response.0.header("retry-after").map(|s| s.parse().unwrap());
            assert_eq!(retry.is_some_and(|seconds| (1..=20).contains(&seconds)), *expected == 429);
        }
    };
    check(&key, &[200, 200, 200, 429, 429]).await;
    check(&other, &[200, 200, 200, 429]).await;
    check("ak_guessed", &[401, 401, 401, 429]).await;
    for _ in 0..10 {
        ask(&client, READ, "/readyz", &[]).await.assert_status_is_ok();
    }
}

#[tokio::test]
async fn the_log_tells_clients_apart_and_names_none() {
    let (logged, _guard) = logged();
    let folder = tempfile::tempdir().unwrap();
    let ([key], args) = keys(&folder, ["predict"]);
    let client = client(&args.each_ref().map(String::as_str)).await;
    for key in [key.as_str(), key.as_str(), "ak_secret"] {
        ask(&client, PREDICT, "/v1/predict", &[("x-api-key", key)]).await;
    }
    let (text, lines) = (logged.text(), logged.requests());
    let clients: Vec<_> = lines.iter().map(|line| line["client"].as_str().unwrap()).collect();
    assert_eq!(clients.len(), 3, "{text}");
    assert_eq!(clients[0], clients[1]);
    assert_ne!(clients[1], clients[2]);
    for secret in [key.as_str(), "shop", "ak_secret"] {
        assert!(!text.contains(secret), "`{secret}` in\n{text}");
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_others_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let ([key], args) = keys(&folder, ["predict"]);
    let [flag, file] = args.each_ref().map(String::as_str);
    let client =
        client(&[flag, file, "--cors-origins", "https://shop.example,http://localhost:3000"]).await;
    let check = async |origin: &str, allowed: bool| {
        let preflight = [("origin", origin), ("access-control-request-method", "POST")];
        let response = ask(&client, Method::OPTIONS, "/v1/predict", &preflight).await.0;
        let expected = allowed.then_some(origin);
        assert_eq!(response.header("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(response.status().as_u16(), if allowed { 204 } else { 401 }, "{origin}");
        let methods = response.header("access-control-allow-methods");
        assert_eq!(methods, allowed.then_some("POST"), "{origin}");
        // An answer is readable too, be it a refusal.
        for key in [key.as_str(), "ak_unknown"] {
            let headers = [("origin", origin), ("x-api-key", key)];
            let response = ask(&client, PREDICT, "/v1/predict", &headers).await.0;
            assert_eq!(response.header("access-control-allow-origin"), expected, "{origin}");
            assert_eq!(response.header("vary"), Some("origin"));
        }
    };
    check("https://shop.example", true).await;
    check("http://localhost:3000", true).await;
    check("https://shop.example.evil", false).await;
    check("http://shop.example", false).await;
    check("null", false).await;
}

#[tokio::test]
async fn without_switches_nobody_is_asked_for_anything() {
    let client = client(&[]).await;
    let headers = [("origin", "https://shop.example"), ("x-api-key", "ak_unknown")];
    for (method, path) in [(PREDICT, "/v1/predict"), (READ, "/metrics"), (READ, "/v1/model")] {
        let response = ask(&client, method, path, &headers).await.0;
        assert_eq!(response.status().as_u16(), 200, "{path}");
        assert_eq!(
            (response.header("vary"), response.header("access-control-allow-origin")),
            (None, None)
        );
    }
}

#[test]
fn what_machines_poll_moves_to_its_own_port_and_needs_no_key_there() {
    let folder = tempfile::tempdir().unwrap();
    let ([key], args) = keys(&folder, ["predict,admin"]);
    let [flag, file] = args.each_ref().map(String::as_str);
    let running = Running::of(&[flag, file, "--admin-listen", "127.0.0.1:0"]);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let admin = running.admin.unwrap();
    let check = |address, path: &str, status: u16| {
        let request = agent.get(format!("http://{address}{path}")).header("X-API-Key", &key);
        assert_eq!(request.call().unwrap().status().as_u16(), status, "{path} at {address}");
    };
    for path in ["/metrics", "/livez", "/readyz"] {
        check(admin, path, 200);
        check(running.address, path, 404);
    }
    check(admin, "/v1/model", 404);
    check(running.address, "/v1/model", 200);
    running.signal();
    running.ended();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the program itself is under test")]
fn the_program_prints_a_key_and_the_line_that_knows_it() {
    let run = |args: &[&str]| {
        let program = env!("CARGO_BIN_EXE_mnist-api");
        let output = std::process::Command::new(program).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, printed) = run(&["key", "shop", "--scopes", "predict,feedback"]);
    assert_eq!(status, Some(0));
    let [key, line] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
    let keys = app::access::keys::Keys::parse(line.as_bytes()).unwrap();
    let found = keys.find(key).unwrap();
    assert_eq!(
        (found.name.as_str(), found.scopes.to_string().as_str()),
        ("shop", "predict,feedback")
    );
    for wrong in [
        &["key", "shop"][..],
        &["key", "a b", "--scopes", "predict"],
        &["key", "shop", "--scopes", "all"],
    ] {
        assert_eq!(run(wrong), (Some(64), String::new()), "{wrong:?}");
    }
}
