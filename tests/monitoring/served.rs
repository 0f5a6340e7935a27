//! The running service, scraped by a real Prometheus that tells a real Alertmanager.

#[path = "alerted.rs"]
mod alerted;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use contract::artifact::Artifact;
use contract::image::Image;
use e2e::http::{Http, Reply};
use e2e::model::quick;
use e2e::process::command;
use e2e::server::{Server, free_port};
use e2e::{data, repo};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::monitoring;
use super::queries::{Matcher, names, queries};

/// What these expose is theirs: kube-state-metrics, Argo CD, Prometheus itself.
const FOREIGN: [&str; 4] = ["kube_", "argocd_", "ALERTS", "up"];
/// Prometheus adds them to all that it scrapes.
const BY_SCRAPING: [&str; 4] = ["namespace", "pod", "job", "instance"];
const PATIENCE: Duration = Duration::from_mins(1);

fn predict(server: &Server) -> Reply {
    let (_, image) = data::probes().0.swap_remove(0);
    let body = json!({ "image": image.pixels() });
    Http::default().post_json(&server.url("/v1/predict"), &body).unwrap()
}

/// The same through the Open Inference Protocol, of the model and of its version.
fn infer(server: &Server, artifact: &Artifact) {
    let (task, version) = (&artifact.manifest().task, &artifact.manifest().model_version);
    let (_, image) = data::probes().0.swap_remove(0);
    let shape = [1, task.input.height, task.input.width, task.input.channels];
    let input =
        json!({ "name": "image", "shape": shape, "datatype": "UINT8", "data": image.pixels() });
    let body = json!({ "inputs": [input] });
    let model = format!("/v2/models/{}", task.name);
    for of in [model.clone(), format!("{model}/versions/{version}")] {
        assert_eq!(server.get(&format!("{of}/ready")).unwrap().status, 200);
        let reply = Http::default().post_json(&server.url(&format!("{of}/infer")), &body).unwrap();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    }
}

/// Values by label.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// Every name on the page, with the labels that it has there.
fn exposed(page: &str) -> BTreeMap<String, Labels> {
    let mut exposed: BTreeMap<String, Labels> = BTreeMap::new();
    for sample in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, labels) = names(sample).metrics.swap_remove(0);
        let known = exposed.entry(name).or_default();
        for Matcher { label, value, .. } in labels {
            known.entry(label).or_default().insert(value);
        }
    }
    exposed
}

#[test]
fn what_rules_and_dashboards_ask_for_is_what_the_service_tells() {
    let artifact = quick();
    let server = Server::start(artifact.path(), &[]);
    assert_eq!(predict(&server).status, 200);
    infer(&server, &artifact);
    for polled in ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics"] {
        assert_eq!(server.get(polled).unwrap().status, 200);
    }
    let page = server.get("/metrics").unwrap().body;
    let exposed = exposed(std::str::from_utf8(&page).unwrap());
    let mut asked = BTreeSet::new();
    for query in queries() {
        let place = query.place;
        let found = names(&query.text);
        let mut known: BTreeSet<&str> = BY_SCRAPING.into();
        let mut all_ours = true;
        for (name, labels) in &found.metrics {
            if name.contains(':') || FOREIGN.iter().any(|prefix| name.starts_with(prefix)) {
                all_ours = false;
                continue;
            }
            let told = exposed.get(name).unwrap_or_else(|| panic!("{place}: nobody tells {name}"));
            known.extend(told.keys().map(String::as_str));
            for matcher in labels {
                let label = matcher.label.as_str();
                assert!(known.contains(label), "{place}: {name} has no label {label}");
                // The others have values that only a failure, or a cluster, brings.
                if ["http_route", "le"].contains(&label) {
                    let dead = matcher.dead(&told[label]);
                    assert!(dead.is_empty(), "{place}: no {label} of {name} is {dead:?}");
                }
            }
            asked.insert(name.clone());
        }
        let unknown = found.grouped_by.iter().find(|label| !known.contains(label.as_str()));
        assert!(!all_ours || unknown.is_none(), "{place}: nothing has the label {unknown:?}");
    }
    assert!(asked.len() > 10, "{asked:?}");
}

/// A program that ends with its test.
struct Daemon(Child);

impl Daemon {
    /// In a folder of its own, where its log stays.
    fn start(program: &str, folder: &Path, args: &[String]) -> Self {
        let log = fs_err::File::create(folder.join(format!("{program}.log"))).unwrap();
        let log = log.into_parts().0;
        let mut daemon = command(program, folder);
        daemon.args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(daemon.spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself, which is no failure here.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where Alertmanager sends its messages; each alert in them comes out of the channel.
fn webhook() -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    // Ends with the test's process: nothing else can end an `accept`.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(message) = body(stream) else { continue };
            for alert in message["alerts"].as_array().into_iter().flatten() {
                if sender.send(alert.clone()).is_err() {
                    return;
                }
            }
        }
    });
    (port, receiver)
}

/// Of one request, which is answered.
fn body(mut stream: TcpStream) -> Option<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}

/// Prometheus with the committed rules, and Alertmanager. Only how often they look is not as in a cluster.
struct Watch {
    folder: TempDir,
    alerts: Receiver<Value>,
    _daemons: [Daemon; 2],
}

impl Watch {
    fn over(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (receiver, alerts) = webhook();
        let [prometheus, alertmanager] = [free_port(), free_port()];
        let local = |port: u16| format!("127.0.0.1:{port}");
        let route = json!({ "receiver": "test", "group_by": ["..."], "group_wait": "0s",
            "group_interval": "1s", "repeat_interval": "1h" });
        let hook = format!("http://{}/", local(receiver));
        let config = json!({ "route": route,
            "receivers": [{ "name": "test", "webhook_configs": [{ "url": hook }] }] });
        fs_err::write(folder.path().join("alertmanager.yml"), config.to_string()).unwrap();
        let target = server.url("").replace("http://", "");
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [monitoring().join("rules/service.yaml")],
            "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [local(alertmanager)] }] }] },
            "scrape_configs": [{ "job_name": "mnist-api",
                "static_configs": [{ "targets": [target], "labels": { "namespace": "production" } }] }],
        });
        fs_err::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let place = |port, storage: &str| {
            [format!("--web.listen-address={}", local(port)), format!("--{storage}=data")]
        };
        let mut args = place(alertmanager, "storage.path").to_vec();
        args.extend(
            ["--config.file=alertmanager.yml", "--cluster.listen-address="].map(str::to_owned),
        );
        let manager = Daemon::start("prometheus-alertmanager", folder.path(), &args);
        let mut args = place(prometheus, "storage.tsdb.path").to_vec();
        args.push("--config.file=prometheus.yml".to_owned());
        let daemons = [manager, Daemon::start("prometheus", folder.path(), &args)];
        Self { folder, alerts, _daemons: daemons }
    }

    fn alert(&self, name: &str) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            let alert = self.alerts.recv_timeout(left).ok()?;
            if alert["labels"]["alertname"] == name {
                return Some(alert);
            }
        }
    }

    fn logs(&self) -> String {
        ["prometheus", "prometheus-alertmanager"]
            .map(|name| {
                fs_err::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap()
            })
            .join("\n")
    }
}

#[test]
fn requests_that_fail_become_an_alert_that_somebody_gets() {
    let artifact = quick();
    // More is asked for than any machine computes in so short a time: what waits too long gets 504.
    let args = ["--request-timeout", "10ms", "--queue-depth", "100000"];
    let server = Server::start(artifact.path(), &args);
    let images: Vec<_> = data::probes().0.into_iter().map(|(_, image)| image).collect();
    let images: Vec<_> = images.iter().cycle().take(64).map(Image::pixels).collect();
    let body = json!({ "images": images }).to_string();
    let (watch, alerted) = (Watch::over(&server), AtomicBool::new(false));
    let answers = Mutex::new(BTreeMap::<u16, usize>::new());
    let flood = || {
        let (http, url) = (Http::default(), server.url("/v1/predict/batch"));
        while !alerted.load(Ordering::SeqCst) {
            if let Ok(reply) = http.post(&url, "application/json", body.as_bytes()) {
                *answers.lock().unwrap().entry(reply.status).or_default() += 1;
            }
        }
    };
    let alert = std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(flood);
        }
        let alert = watch.alert("ErrorsBurnFast");
        alerted.store(true, Ordering::SeqCst);
        alert
    });
    let alert = alert.unwrap_or_else(|| panic!("no alert: {answers:?}\n{}", watch.logs()));
    assert_eq!(alert["status"], "firing");
    assert_eq!(alert["labels"]["namespace"], "production");
    assert_eq!(alert["labels"]["severity"], "critical");
    let told = alert["annotations"]["description"].as_str().unwrap();
    assert!(told.ends_with("% of requests in production failed over the last hour."), "{told}");
    let runbook = alert["annotations"]["runbook_url"].as_str().unwrap();
    let page = runbook.split_once("/blob/main/").unwrap().1.split('#').next().unwrap();
    assert!(repo::root().join(page).is_file(), "{runbook}");
}
