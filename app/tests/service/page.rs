use std::collections::BTreeSet;

use poem::Endpoint;
use poem::http::StatusCode;
use poem::test::{TestClient, TestResponse};

use crate::harness::{body, client};

async fn text(response: TestResponse) -> String {
    response.0.into_body().into_string().await.unwrap()
}

/// What stands between the first part and the second, wherever both do.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split(after).next().unwrap()).collect()
}

/// Addresses of everything that the page loads, by what its files name.
async fn addresses(client: &TestClient<impl Endpoint>) -> BTreeSet<String> {
    let html = text(client.get("/").send().await).await;
    let mut found: BTreeSet<String> = BTreeSet::from(["/".to_owned()]);
    let mut open: Vec<String> = between(&html, "\"assets/", "\"")
        .into_iter()
        .map(|name| format!("/assets/{name}"))
        .collect();
    while let Some(address) = open.pop() {
        let file = text(client.get(&address).send().await).await;
        let imports = between(&file, "from \"./", "\"").into_iter();
        open.extend(imports.map(|name| format!("/assets/{name}")));
        found.insert(address);
    }
    found
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there_and_asked_for_again_only_when_it_changed() {
    let client = client(&[]).await;
    let addresses = addresses(&client).await;
    assert_eq!(addresses.len(), 9, "{addresses:?}");
    for address in addresses {
        let first = client.get(&address).send().await;
        first.assert_status_is_ok();
        first.assert_header("cache-control", "no-cache");
        let kind = first.0.content_type().unwrap().to_owned();
        let expected = match address.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(kind, expected, "{address}");
        let tag = first.0.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let check = async |known: &str, status| {
            let again = client.get(&address).header("If-None-Match", known).send().await;
            again.assert_status(status);
            again.assert_header("etag", &tag);
            assert_eq!(text(again).await.is_empty(), status == StatusCode::NOT_MODIFIED);
        };
        check(&tag, StatusCode::NOT_MODIFIED).await;
        check(&format!("W/{tag}"), StatusCode::NOT_MODIFIED).await;
        check(&format!("\"another\", {tag}"), StatusCode::NOT_MODIFIED).await;
        check("*", StatusCode::NOT_MODIFIED).await;
        check("\"another\"", StatusCode::OK).await;
    }
    let missing = client.get("/assets/missing.js").send().await;
    missing.assert_status(StatusCode::NOT_FOUND);
    assert_eq!(body(missing).await["code"], "not_found");
}

#[tokio::test]
async fn a_browser_runs_and_loads_only_what_comes_from_here() {
    let client = client(&[]).await;
    for address in addresses(&client).await {
        let response = client.get(&address).send().await;
        let policy = response.0.header("content-security-policy").unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"));
        let text = text(response).await.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://") && !text.contains("url("), "{address}");
        for inline in ["<script>", "<style", " style=", " onclick=", "innerHTML", "eval("] {
            assert!(!text.contains(inline), "{address}: {inline}");
        }
    }
}

#[tokio::test]
async fn the_page_knows_no_class_of_any_model() {
    let client = client(&[]).await;
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect()
    };
    let task = include_str!("../../../model/task.yaml");
    let classes = task.lines().find_map(|line| line.strip_prefix("classes: ")).unwrap();
    // Numerals that are words of their own.
    let classes: BTreeSet<String> =
        words(classes).difference(&words("zero one")).cloned().collect();
    assert!(classes.contains("seven"), "{classes:?}");
    for address in addresses(&client).await {
        let found = words(&text(client.get(&address).send().await).await);
        let known: Vec<_> = found.intersection(&classes).filter(|word| !word.is_empty()).collect();
        assert!(known.is_empty(), "{address}: {known:?}");
        for word in ["mnist", "digit", "28", "784"] {
            assert!(!found.contains(word), "{address}: {word}");
        }
    }
}
