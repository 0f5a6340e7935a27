//! Headless Chromium by the W3C WebDriver protocol, as much of it as the tests need.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Http;
use crate::process::command;
use crate::repo;
use crate::server::free_port;

/// The key under which WebDriver hands out elements (W3C WebDriver, §12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Browser {
    driver: Child,
    session: String,
    http: Http,
    _profile: tempfile::TempDir,
}

pub struct Element(String);

impl Browser {
    pub fn open(url: &str) -> Self {
        let port = free_port();
        let profile = tempfile::tempdir().expect("a temporary folder");
        let driver = command("chromedriver", &repo::root())
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let base = format!("http://127.0.0.1:{port}/session");
        let http = Http::default();
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-sync",
            "--disable-component-update",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1200,1600",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({ "binary": "/usr/bin/chromium", "args": args });
        let capabilities = json!({
            "capabilities": { "alwaysMatch": {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": { "browser": "ALL" },
            }}
        });
        let session = wait_for("chromedriver to answer", || {
            let reply = http.post_json(&base, &capabilities).ok()?;
            reply.json()["value"]["sessionId"].as_str().map(str::to_owned)
        });
        let browser =
            Self { driver, session: format!("{base}/{session}"), http, _profile: profile };
        browser.post("url", &json!({ "url": url }));
        browser
    }

    /// Waits until the selector finds something visible.
    pub fn find(&self, css: &str) -> Element {
        wait_for(css, || {
            let body = json!({ "using": "css selector", "value": css });
            let reply = self.http.post_json(&format!("{}/element", self.session), &body).ok()?;
            reply.json()["value"][ELEMENT].as_str().map(|id| Element(id.to_owned()))
        })
    }

    /// Clicks as a person does: scrolled into view, where nothing covers it.
    pub fn click(&self, css: &str) {
        wait_for(&format!("a click on {css}"), || {
            let Element(id) = self.find(css);
            let url = format!("{}/element/{id}/click", self.session);
            let reply = self.http.post_json(&url, &json!({})).ok()?;
            (reply.status == 200).then_some(())
        });
    }

    pub fn text(&self, css: &str) -> String {
        let Element(id) = self.find(css);
        self.get(&format!("element/{id}/text")).as_str().unwrap_or_default().to_owned()
    }

    /// Runs a function body in the page and returns its value.
    pub fn script(&self, body: &str) -> Value {
        self.post("execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// Errors that the page wrote to the console since the last call.
    pub fn console_errors(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    fn get(&self, path: &str) -> Value {
        let reply =
            self.http.get(&format!("{}/{path}", self.session)).expect("chromedriver answers");
        reply.json()["value"].clone()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.http.post_json(&format!("{}/{path}", self.session), body);
        let reply = reply.expect("chromedriver answers");
        assert_eq!(reply.status, 200, "{path}: {}", reply.json());
        reply.json()["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the session ends the browser, which is a process of its own.
        drop(ureq::delete(&self.session).call());
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

#[track_caller]
fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
