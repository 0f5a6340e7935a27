//! Headless Chromium by the W3C WebDriver protocol, as much of it as the tests need.

use std::path::Path;
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

/// Sides in CSS pixels, and whether fingers or a mouse are in front of it.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    pub touch: bool,
}

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

    /// Presses a mouse button at the first of these places, shares of an element's sides, moves through
    /// the others, and lets go.
    pub fn draw(&self, css: &str, places: &[(f64, f64)]) {
        let Element(id) = self.find(css);
        let rect = self.get(&format!("element/{id}/rect"));
        let side = |name: &str| rect[name].as_f64().expect("elements have sides");
        let (width, height) = (side("width"), side("height"));
        // Offsets are from an element's centre.
        let to = |(x, y): &(f64, f64)| {
            json!({
                "type": "pointerMove", "duration": 20, "origin": { ELEMENT: id },
                "x": ((x - 0.5) * width).round(), "y": ((y - 0.5) * height).round(),
            })
        };
        let mut actions: Vec<Value> = places.iter().map(to).collect();
        actions.insert(1, json!({ "type": "pointerDown", "button": 0 }));
        actions.push(json!({ "type": "pointerUp", "button": 0 }));
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": actions });
        self.post("actions", &json!({ "actions": [mouse] }));
    }

    /// Types on the keyboard, whatever has the focus.
    pub fn keys(&self, keys: &str) {
        let press =
            |key: char| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("actions", &json!({ "actions": [keyboard] }));
    }

    /// Chooses a file, as its dialog would.
    pub fn upload(&self, css: &str, file: &Path) {
        let Element(id) = self.find(css);
        self.post(&format!("element/{id}/value"), &json!({ "text": file }));
    }

    /// Shows the page as on another screen, `light` or `dark`.
    pub fn emulate(&self, screen: Screen, scheme: &str) {
        let Screen { width, height, touch } = screen;
        let told = |cmd: &str, params: Value| {
            self.post("goog/cdp/execute", &json!({ "cmd": cmd, "params": params }));
        };
        told(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch }),
        );
        told("Emulation.setTouchEmulationEnabled", json!({ "enabled": touch }));
        told(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    pub fn text(&self, css: &str) -> String {
        let Element(id) = self.find(css);
        self.get(&format!("element/{id}/text")).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn wait_for_text(&self, css: &str, expected: &str) {
        let mut found = String::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            found = self.text(css);
            if found == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{css} is `{found}` and not `{expected}`");
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
