//! The service as users run it: its binary, a port, and an end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::http::{Http, Reply};
use crate::process::{command, xtask};
use crate::repo;

pub struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
    // Holds the log's folder for as long as the service runs.
    _folder: tempfile::TempDir,
}

/// Loading libtorch on a busy machine takes seconds at most, training before serving minutes; nothing
/// here is a timed test.
const PATIENCE: Duration = Duration::from_mins(5);

impl Server {
    /// Starts `mnist-api serve` on a free port and waits until it is ready.
    #[track_caller]
    pub fn start(artifact: &Path, args: &[&str]) -> Self {
        Self::launch(artifact, args).ready()
    }

    /// Starts it and does not wait.
    pub fn launch(artifact: &Path, args: &[&str]) -> Self {
        let port = free_port();
        let mut service = command(repo::release_binary("mnist-api"), &repo::root());
        service.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        service.env("DRAIN_PAUSE", "0s").arg("--model-dir").arg(artifact).args(args);
        Self::spawn(service, port)
    }

    /// `cargo xtask serve` on a free port, until it is ready.
    #[track_caller]
    pub fn by_xtask(home: &Path, args: &[&str]) -> Self {
        let port = free_port();
        let mut xtask = xtask(home);
        xtask.args(["serve", "--port", &port.to_string()]).args(args);
        Self::spawn(xtask, port).ready()
    }

    fn spawn(mut command: Command, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let file = fs_err::File::create(&log).expect("a log file").into_parts().0;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the service starts");
        Self { child, port, log, _folder: folder }
    }

    #[track_caller]
    fn ready(mut self) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("the service ended with {status}:\n{}", self.log());
            }
            if self.get("/readyz").is_ok_and(|reply| reply.status == 200) {
                return self;
            }
            assert!(Instant::now() < deadline, "not ready in time:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn get(&self, path: &str) -> Result<Reply, ureq::Error> {
        Http::default().get(&self.url(path))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has written this: its log comes from a thread of its own, which being ready does not wait for.
    #[track_caller]
    pub fn logs(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` missing in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All it wrote so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs_err::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends the signal, by name as `kill` knows it.
    pub fn signal(&self, name: &str) {
        let status = command("kill", &repo::root())
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -{name} failed");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is no failure here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
