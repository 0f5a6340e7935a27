//! A service of three classes on 8×8 grey images, in process or behind a real socket.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use app::api;
use app::config::switches::Switches;
use app::config::{Config, Options};
use app::lifecycle::Signals;
use app::serve::{Drain, Ports, until_ended};
use app::service::Service;
use app::telemetry::logs;
use clap::Parser;
use contract::digest::Digest;
use contract::image::{Image, Shape};
use contract::manifest::{Manifest, ModelVersion};
use contract::prediction::Scores;
use poem::endpoint::BoxEndpoint;
use poem::test::TestClient;
use poem::{EndpointExt, Response};
use prometheus::IntCounter;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

pub(crate) const SHAPE: Shape = Shape { height: 8, width: 8, channels: 1 };
/// Switches feedback on.
pub(crate) const KEY: [&str; 2] =
    ["--feedback-key-file", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/feedback.key")];
/// Of a service that ends after a pause.
pub(crate) const DRAIN: Drain = Drain {
    pause: Duration::from_millis(300),
    limit: Duration::from_secs(20),
    max_connections: 64,
    write_timeout: Duration::from_secs(30),
};
pub(crate) const CLASSES: [&str; 3] = ["left", "right", "none"];

/// Bright on the left, bright on the right, or neither.
pub(crate) fn image(label: usize) -> Image {
    let bright = |x: usize| match label {
        0 => x == 1,
        1 => x == 6,
        _ => x == 3 || x == 4,
    };
    let pixels: Vec<u8> = (0..SHAPE.len()).map(|i| if bright(i % 8) { 255 } else { 0 }).collect();
    Image::new(SHAPE, pixels).unwrap()
}

pub(crate) fn scores(image: &Image) -> Scores {
    let sum = |columns: std::ops::Range<usize>| -> u32 {
        image.pixels().chunks(8).flat_map(|row| &row[columns.clone()]).map(|v| u32::from(*v)).sum()
    };
    let (left, right) = (sum(0..3), sum(5..8));
    Scores::new(match (left > right, right > left) {
        (true, _) => [0.75, 0.125, 0.125],
        (_, true) => [0.125, 0.75, 0.125],
        _ => [0.125, 0.125, 0.75],
    })
    .unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a classifier")]
pub(crate) fn classify(images: &[Image]) -> Result<Vec<Scores>, String> {
    Ok(images.iter().map(scores).collect())
}

pub(crate) fn manifest(weights: &str) -> Manifest {
    let digest = Digest::of(weights.as_bytes());
    let histogram = json!({ "low": 0.0, "high": 1.0, "counts": [0] });
    serde_json::from_value(json!({
        "schema": 1,
        "model_version": ModelVersion::of(&digest),
        "model_digest": digest,
        "task": {
            "name": "sides",
            "title": "Which side is bright",
            "input": SHAPE,
            "classes": CLASSES,
            "normalisation": { "mean": [0.5], "std": [0.5] },
            "picture": "centred-ink",
            "data": { "name": "sides" },
        },
        "data": { "name": "sides", "digest": digest, "train": 1, "validation": 1, "test": 1 },
        "training": {
            "recipe": "none", "config": {}, "seed": 0, "threads": 1, "device": "cpu", "epochs": 1,
            "parameters": 0, "seconds": 0.0, "finished_at": "2026-01-01T00:00:00Z",
        },
        "source": { "git_revision": null, "dirty": false },
        "libtorch": "none",
        "metrics": {
            "accuracy": 1.0, "validation_accuracy": 1.0, "loss": 0.0, "calibration_error": 0.0,
            "per_class": [], "confusion": [], "misclassified": [], "reliability": [],
        },
        "baseline": {
            "ink": histogram, "bbox": histogram, "entropy": histogram, "confidence": histogram,
            "classes": [0, 0, 0],
        },
        "latency": [], "tensors": {}, "files": {},
    }))
    .unwrap()
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    options: Options,
}

pub(crate) fn config(args: &[&str]) -> Config {
    let args = [&["serve", "--model-dir", ".", "--app-version", "1.2.3"], args].concat();
    Config::try_from(Program::try_parse_from(args).unwrap().options).unwrap()
}

pub(crate) fn service(
    args: &[&str],
    classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, String> + Send + 'static,
) -> Arc<Service> {
    service_of(manifest("weights"), &config(args), classify)
}

fn service_of(
    manifest: Manifest,
    config: &Config,
    classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, String> + Send + 'static,
) -> Arc<Service> {
    // Interest in events is remembered for the whole process: without anybody who is interested, the test that
    // reads the log may find that nobody writes it. Whoever comes second finds one installed.
    drop(tracing::subscriber::set_global_default(tracing_subscriber::registry()));
    let dropped = IntCounter::new("log_lines_dropped_total", "none here").unwrap();
    Arc::new(Service::start(config, manifest, [classify], dropped).unwrap())
}

/// A file for as long as the folder lives.
pub(crate) fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs_err::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Asks until the answer is the expected one: what is reloaded takes a while.
pub(crate) fn until<T: PartialEq + std::fmt::Debug>(expected: &T, ask: impl Fn() -> T) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let found = ask();
        if found == *expected {
            return;
        }
        assert!(Instant::now() < deadline, "still {found:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) type Client = TestClient<BoxEndpoint<'static, Response>>;

/// A warm service in process.
pub(crate) async fn client(args: &[&str]) -> Client {
    warm(service(args, classify)).await
}

/// A warm service in process, of a model of its own.
pub(crate) async fn client_of(manifest: Manifest) -> Client {
    warm(service_of(manifest, &config(&[]), classify)).await
}

async fn warm(service: Arc<Service>) -> Client {
    service.warm_up().await.unwrap();
    TestClient::new(api::router(service).boxed())
}

pub(crate) async fn body(response: poem::test::TestResponse) -> Value {
    serde_json::from_slice(&response.0.into_body().into_vec().await.unwrap()).unwrap()
}

pub(crate) async fn metrics(client: &Client) -> String {
    client.get("/metrics").send().await.0.into_body().into_string().await.unwrap()
}

pub(crate) fn png(image: &Image) -> Vec<u8> {
    encode(image, image::ImageFormat::Png)
}

pub(crate) fn encode(image: &Image, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_raw(8, 8, image.pixels().to_vec())
        .unwrap()
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// What this thread logs from now on, as long as the guard lives.
pub(crate) fn logged() -> (Logged, DefaultGuard) {
    let logged = Logged::default();
    let writer = logged.clone();
    let layer = logs::layer(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    (logged, tracing::subscriber::set_default(subscriber))
}

#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that tell of a request.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "access").collect()
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A service behind a real socket, on a runtime of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    signals: mpsc::Sender<&'static str>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(service: Arc<Service>, drain: Drain) -> Self {
        Self::with(service, Switches::default(), drain)
    }

    /// With all that the arguments switch on.
    pub(crate) fn of(args: &[&str]) -> Self {
        let config = config(args);
        let service = service_of(manifest("weights"), &config, classify);
        Self::with(service, config.switches, Drain { pause: Duration::ZERO, ..DRAIN })
    }

    fn with(service: Arc<Service>, switches: Switches, drain: Drain) -> Self {
        let (signals, mut received) = Signals::channel();
        let (told, addresses) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                service.warm_up().await.unwrap();
                let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let admin = match switches.admin_listen {
                    Some(address) => Some(TcpListener::bind(address).await.unwrap()),
                    None => None,
                };
                let address = |listener: &TcpListener| listener.local_addr().unwrap();
                told.send((address(&public), admin.as_ref().map(address))).unwrap();
                let ports = Ports { public, tls: switches.tls, admin };
                until_ended(ports, service, drain, &mut received).await.unwrap();
            });
            runtime.shutdown_background();
        });
        let (address, admin) = addresses.recv().unwrap();
        Self { address, admin, signals, thread: Some(thread) }
    }

    pub(crate) fn signal(&self) {
        self.signals.blocking_send("SIGTERM").unwrap();
    }

    /// Waits for its end; its thread must not have panicked.
    pub(crate) fn ended(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One ends the service, one its pause, one its requests.
        for _ in 0..3 {
            if self.thread.is_some() && self.signals.try_send("SIGTERM").is_err() {
                return;
            }
        }
    }
}
