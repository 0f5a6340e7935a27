//! A real MLflow server and its own client, both from pip.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use e2e::http::Http;
use e2e::process::command;
use e2e::repo;
use e2e::server::free_port;
use serde_json::{Value, json};
use tempfile::TempDir;

/// It imports half of Python's packages; nothing here is a timed test.
const PATIENCE: Duration = Duration::from_mins(8);

/// Ends its process group, the server with all its workers, when nobody holds its stdin any more, however we ended.
const TIED: &str = r#""$@" </dev/null & cat >/dev/null; kill -9 0"#;

pub(crate) struct Mlflow {
    folder: TempDir,
    port: u16,
    shell: Child,
}

#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its Python is")]
fn python() -> PathBuf {
    std::env::var("E2E_MLFLOW_PYTHON").expect("run by `cargo xtask test`").into()
}

impl Mlflow {
    /// One for all tests of this binary: each has experiments of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Mlflow> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let shell = shell(folder.path(), port);
        let mlflow = Self { folder, port, shell };
        mlflow.wait();
        mlflow
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// As a power cut does.
    pub(crate) fn kill(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
        while Http::default().get(&format!("{}/health", self.url())).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// With what it had written.
    pub(crate) fn restart(&mut self) {
        self.shell = shell(self.folder.path(), self.port);
        self.wait();
    }

    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        let health = format!("{}/health", self.url());
        while !Http::default().get(&health).is_ok_and(|reply| reply.status == 200) {
            assert!(Instant::now() < deadline, "{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What its own client reads.
    pub(crate) fn read(&self, question: &Value) -> Value {
        static CLIENT: Mutex<Option<(u16, Client)>> = Mutex::new(None);
        let mut client = CLIENT.lock().unwrap();
        if client.as_ref().is_none_or(|(port, _)| *port != self.port) {
            *client = Some((self.port, Client::start(&self.url())));
        }
        client.as_mut().unwrap().1.ask(question)
    }

    /// The runs of an experiment, in the order of their start.
    pub(crate) fn runs(&self, experiment: &str) -> Vec<Value> {
        let told = self.read(&json!({ "experiment": experiment }));
        told["runs"].as_array().unwrap().clone()
    }

    /// Another run as a machine begins it that has not seen this one.
    pub(crate) fn twin(&self, experiment: &str, run: &Value) -> String {
        let id = run["tags"]["xtask.run_id"].clone();
        let body = json!({
            "experiment_id": self.peek(experiment)["info"]["experiment_id"],
            "run_name": run["name"],
            "start_time": run["start_time"],
            "tags": [{ "key": "xtask.run_id", "value": id }],
        });
        let created = self.ask("runs/create", &body);
        created["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn delete(&self, run: &str) {
        self.ask("runs/delete", &json!({ "run_id": run }));
    }

    fn ask(&self, call: &str, body: &Value) -> Value {
        let place = format!("{}/api/2.0/mlflow/{call}", self.url());
        let answer = Http::default().post_json(&place, body).unwrap();
        assert_eq!(answer.status, 200);
        answer.json()
    }

    /// The newest run of an experiment as the server itself tells it; null where there is none.
    pub(crate) fn peek(&self, experiment: &str) -> Value {
        let api = format!("{}/api/2.0/mlflow", self.url());
        let http = Http::default();
        let found =
            http.get(&format!("{api}/experiments/get-by-name?experiment_name={experiment}"));
        let Ok(found) = found else { return Value::Null };
        let id = found.json()["experiment"]["experiment_id"].clone();
        let body = json!({ "experiment_ids": [id], "max_results": 1 });
        let runs = http.post_json(&format!("{api}/runs/search"), &body);
        runs.map(|reply| reply.json()["runs"][0].clone()).unwrap_or_default()
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

fn shell(folder: &Path, port: u16) -> Child {
    let log =
        fs_err::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let log = log.into_parts().0;
    command("sh", folder)
        .args(["-c", TIED, "sh"])
        .arg(python())
        .args(["-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"])
        .args(["--port", &port.to_string(), "--backend-store-uri", "sqlite:///mlflow.db"])
        .arg("--artifacts-destination")
        .arg(folder.join("artifacts"))
        .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("PATH", path())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// MLflow starts programs that pip put beside its Python.
fn path() -> std::ffi::OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = [python().parent().unwrap().to_owned()];
    std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&inherited))).unwrap()
}

struct Client {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    child: Child,
}

impl Client {
    fn start(url: &str) -> Self {
        let mut child = command(python(), &repo::root())
            .arg("tests/peers/tracked.py")
            .env("MLFLOW_TRACKING_URI", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { to, from, child }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.to, "{question}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no answer to {question}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
