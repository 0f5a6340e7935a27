//! Servers that data and what is known of it are kept on: an S3, and HTTP that takes and gives files. In Python, from
//! the environment that has the real DVC.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{command, run};
use crate::repo;
use crate::server::free_port;

/// Until it is dropped.
pub struct Served {
    child: Child,
    host: String,
    pub port: u16,
}

/// Of the environment that has the real DVC.
#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its Python is")]
pub fn python() -> PathBuf {
    PathBuf::from(std::env::var("E2E_DVC_PYTHON").expect("run by `cargo xtask test`"))
}

impl Served {
    /// An empty S3; `secret` is whether it looks at credentials.
    pub fn s3(secret: bool) -> Self {
        Self::s3_on("127.0.0.1", secret)
    }

    /// By an address of this machine.
    pub fn s3_on(host: &str, secret: bool) -> Self {
        let free = if secret { "0" } else { "inf" };
        let port = free_port();
        let mut moto = command(python().with_file_name("moto_server"), &repo::root());
        moto.env("INITIAL_NO_AUTH_ACTION_COUNT", free);
        moto.args(["--host", host, "--port", &port.to_string()]);
        Self::start(moto, host, port)
    }

    /// Takes and gives files of `folder` to who knows `user` and `password`.
    pub fn http(folder: &Path, password: &str) -> Self {
        let port = free_port();
        let mut server = command(python(), &repo::root());
        server
            .arg("tests/versioned/http_server.py")
            .arg(port.to_string())
            .arg(folder)
            .arg(password);
        Self::start(server, "127.0.0.1", port)
    }

    /// Gives files of `folder` to everybody.
    pub fn files_on(host: &str, folder: &Path) -> Self {
        let port = free_port();
        let mut server = command(python(), &repo::root());
        server.args(["-m", "http.server", &port.to_string(), "--bind", host, "--directory"]);
        server.arg(folder);
        Self::start(server, host, port)
    }

    /// Gives the repositories below `folder` to everybody, and takes what is pushed.
    pub fn git_on(host: &str, folder: &Path) -> Self {
        let port = free_port();
        // The program itself: `git daemon` would outlive the `git` that started it.
        let programs = run(command("git", &repo::root()).arg("--exec-path")).success().stdout;
        let mut daemon = command(Path::new(programs.trim()).join("git-daemon"), &repo::root());
        daemon.args(["--export-all", "--enable=receive-pack", "--reuseaddr"]);
        daemon.args([&format!("--listen={host}"), &format!("--port={port}")]);
        daemon.arg(format!("--base-path={}", folder.display()));
        Self::start(daemon, host, port)
    }

    fn start(mut program: Command, host: &str, port: u16) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        program.stdout(Stdio::null()).stderr(log.reopen().expect("it is there"));
        let child = program.spawn().expect("it starts");
        let mut server = Self { child, host: host.to_owned(), port };
        let begun = Instant::now();
        while TcpStream::connect((host, port)).is_err() {
            let is_there = server.child.try_wait().expect("a child can be waited for").is_none();
            let waits = is_there && begun.elapsed() < Duration::from_mins(2);
            let said = fs_err::read_to_string(log.path()).unwrap_or_default();
            assert!(waits, "{program:?} does not answer:\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
