//! The documentation and the page as a person uses them: in a browser, from the binary alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "browser/page.rs"]
mod page;

use e2e::browser::Browser;
use e2e::model::quick;
use e2e::server::Server;

#[test]
fn the_documentation_page_executes_a_prediction() {
    let artifact = quick();
    let server = Server::start(artifact.path(), &[]);
    let browser = Browser::open(&server.url("/docs"));

    let predict = "#operations-Prediction-predict";
    browser.click(&format!("{predict} .opblock-summary-control"));
    browser.click(&format!("{predict} .try-out__btn"));
    browser.click(&format!("{predict} .execute"));
    let status =
        browser.text(&format!("{predict} .live-responses-table tbody .response-col_status"));
    let table = browser.text(&format!("{predict} .live-responses-table"));
    assert!(status.starts_with("200"), "{table}\n{}", server.log());
    assert!(table.contains(artifact.manifest().model_version.as_str()), "{table}");

    // Nothing was asked of any other host, and nothing failed on the way.
    let foreign = browser.script(
        "return performance.getEntriesByType('resource').map(e => e.name)\
         .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'));",
    );
    assert_eq!(foreign, serde_json::json!([]), "requests to other hosts");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}
