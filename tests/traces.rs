//! Traces as a real collector of OpenTelemetry receives them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use e2e::http::Http;
use e2e::model::quick;
use e2e::process::command;
use e2e::server::{Server, free_port};
use e2e::{data, repo};
use serde_json::{Value, json};
use tempfile::TempDir;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const PATIENCE: Duration = Duration::from_mins(1);

/// Writes down each span that it takes.
struct Collector {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Collector {
    #[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its collector is")]
    fn start() -> Self {
        let program = std::env::var("E2E_COLLECTOR").expect("run by `cargo xtask test`");
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let receiver =
            json!({ "protocols": { "http": { "endpoint": format!("127.0.0.1:{port}") } } });
        let pipeline = json!({ "receivers": ["otlp"], "exporters": ["debug"] });
        let config = json!({
            "receivers": { "otlp": receiver },
            "exporters": { "debug": { "verbosity": "detailed" } },
            // Its own metrics would take a port that is not free everywhere.
            "service": { "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": pipeline } },
        });
        let file = folder.path().join("config.yaml");
        fs_err::write(&file, config.to_string()).unwrap();
        let log = fs_err::File::create(folder.path().join("log")).unwrap().into_parts().0;
        let mut collector = command(PathBuf::from(program), &repo::root());
        collector.arg("--config").arg(file).stdin(Stdio::null());
        collector.stdout(log.try_clone().unwrap()).stderr(log);
        let collector = Self { child: collector.spawn().unwrap(), port, folder };
        collector.until("Everything is ready");
        collector
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn until(&self, told: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(told) {
            assert!(Instant::now() < deadline, "`{told}` missing in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it says of each span: `Trace ID`, `Name` and the like, and attributes by their names.
    fn spans(&self) -> Vec<Span> {
        let log = self.log();
        let spans = log.split("\nSpan #").skip(1).map(|span| {
            let lines = span.lines().skip(1).map(|line| line.trim().trim_start_matches("-> "));
            let pairs = lines.filter_map(|line| line.split_once(':'));
            pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
        });
        spans.map(Span).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself, which is no failure here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Debug)]
struct Span(BTreeMap<String, String>);

impl Span {
    fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|found| found == value)
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert!(self.is(name, value), "`{name}` is not `{value}` in {self:#?}");
        }
    }
}

#[test]
fn a_callers_trace_goes_on_in_spans_logs_and_answers() {
    let (collector, artifact) = (Collector::start(), quick());
    let endpoint = collector.endpoint();
    let args = [
        ["--otel-exporter-otlp-endpoint", &endpoint],
        ["--otel-resource-attributes", "deployment.environment.name=here"],
        ["--app-version", "1.2.3"],
    ]
    .concat();
    let mut server = Server::start(artifact.path(), &args);
    let (_, image) = data::probes().0.swap_remove(0);
    let (right, wrong) = (json!({ "image": image.pixels() }), json!({ "image": [] }));
    let ask = |body: &Value, id: &str, trace: &str, flags: &str| {
        let parent = format!("00-{trace}-{PARENT}-{flags}");
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", id),
            ("traceparent", parent.as_str()),
        ];
        let url = server.url("/v1/predict?secret=1");
        Http::default().post_with(&url, &headers, body.to_string().as_bytes()).unwrap()
    };
    let (refused, unsampled) = (TRACE.replace("4bf9", "5bf9"), TRACE.replace("4bf9", "6bf9"));
    let answer = ask(&right, "r-1", TRACE, "01");
    let told = answer.header("traceresponse").unwrap().to_owned();
    let problem = ask(&wrong, "r-2", &refused, "01").json();
    assert_eq!(problem["trace_id"], json!(refused));
    let silent = ask(&right, "r-3", &unsampled, "00");
    assert!(silent.header("traceresponse").unwrap().ends_with("-00"));
    assert_eq!(server.get("/no/such/path").unwrap().status, 404);
    assert_eq!(server.get("/readyz").unwrap().header("traceresponse"), None);
    server.signal("TERM");
    assert!(server.ended().success(), "{}", server.log());

    // All were sent before the end; what the collector writes may come a moment later.
    collector.until("/v1/predict");
    collector.until("_unmatched");
    let spans = collector.spans();
    let of =
        |trace: &str| spans.iter().filter(|span| span.is("Trace ID", trace)).collect::<Vec<_>>();
    let [own, parts @ ..] = &of(TRACE)[..] else { panic!("{}", collector.log()) };
    own.check(&[
        ("Parent ID", PARENT),
        ("Name", "POST /v1/predict"),
        ("Kind", "Server"),
        ("Status code", "Unset"),
        ("http.route", "Str(/v1/predict)"),
        ("http.request.method", "Str(POST)"),
        ("http.response.status_code", "Int(200)"),
        ("request_id", "Str(r-1)"),
        ("images", "Int(1)"),
    ]);
    assert_eq!(told, format!("00-{TRACE}-{}-01", own.0["ID"]));
    let names: Vec<&str> = parts.iter().map(|part| part.0["Name"].as_str()).collect();
    assert_eq!(names, ["read", "decode", "queue", "infer"]);
    for part in parts {
        part.check(&[("Parent ID", &own.0["ID"]), ("Kind", "Internal")]);
    }
    let [own] = &of(&refused)[..] else { panic!("{}", collector.log()) };
    own.check(&[("code", "Str(invalid_image)"), ("http.response.status_code", "Int(422)")]);
    own.check(&[("Status code", "Unset")]);
    assert!(of(&unsampled).is_empty());
    let unmatched: Vec<_> =
        spans.iter().filter(|span| span.is("http.route", "Str(_unmatched)")).collect();
    assert_eq!(unmatched.len(), 1, "{}", collector.log());
    unmatched[0].check(&[("Parent ID", "")]);
    assert_eq!(spans.len(), 7, "{}", collector.log());

    let log = collector.log();
    for resource in [
        "service.name: Str(mnist-api)",
        "service.version: Str(1.2.3)",
        "deployment.environment.name: Str(here)",
    ] {
        assert!(log.contains(resource), "{resource} missing in\n{log}");
    }
    assert!(!log.contains("secret") && !log.contains("no/such"), "{log}");
    let lines = server.log();
    let line = |id: &str| -> Value {
        let marked = format!("\"request_id\":\"{id}\"");
        serde_json::from_str(lines.lines().find(|line| line.contains(&marked)).unwrap()).unwrap()
    };
    for (id, trace) in [("r-1", TRACE), ("r-2", &refused), ("r-3", &unsampled)] {
        assert_eq!(line(id)["trace_id"], json!(trace), "{lines}");
    }
}
