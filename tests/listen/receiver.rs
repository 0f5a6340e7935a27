//! `gitops-listen` in a clone of a scratch repository, and those who talk with it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use e2e::http::{Http, Reply};
use e2e::process::{command, run};
use e2e::repo;
use e2e::server::free_port;
use serde_json::json;

use crate::scratch::Scratch;

pub(crate) const TOKEN: &str = "the-token-of-a-test";
/// On a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Receiver {
    child: Child,
    port: u16,
    spool: PathBuf,
    log: PathBuf,
}

/// Without anything of whoever runs the tests.
pub(crate) fn program(scratch: &Scratch) -> Command {
    let mut program = command(repo::gitops_listen(), &scratch.path("clone"));
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        program.env_remove(name);
    }
    for name in ["XTASK_HOME", "XTASK_CLONE", "XTASK_REMOTE"] {
        program.env_remove(name);
    }
    program.env("DOCKER_CONFIG", scratch.path(""));
    // Which `xtask` is not said: the one beside it.
    program.arg("--spool").arg(scratch.path("spool"));
    program
}

impl Receiver {
    #[track_caller]
    pub(crate) fn start(scratch: &Scratch, args: &[&str]) -> Self {
        let (port, log) = (free_port(), scratch.path("log"));
        let mut program = program(scratch);
        program.args(["--port", &port.to_string(), "--retry-after", "200ms"]).args(args);
        let file = fs_err::File::options().create(true).append(true).open(&log).unwrap();
        program.env("LISTEN_TOKEN", TOKEN).stdin(Stdio::null()).stdout(Stdio::null());
        let child = program.stderr(file.into_parts().0).spawn().unwrap();
        let mut receiver = Self { child, port, spool: scratch.path("spool"), log };
        let ready = receiver.url("/readyz");
        while !Http::default().get(&ready).is_ok_and(|reply| reply.status == 200) {
            let ended = receiver.child.try_wait().unwrap();
            assert!(ended.is_none(), "it did not start:\n{}", receiver.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        receiver
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &[u8]) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        Http::default().post_with(&self.url(path), &headers, body).unwrap()
    }

    /// As the templates do.
    #[track_caller]
    pub(crate) fn dispatch(&self, workflow: &str, report: &str) {
        let path = format!("/repos/o/r/actions/workflows/{workflow}.yml/dispatches");
        let body = json!({ "ref": "main", "inputs": { "report": report } }).to_string();
        let reply = self.post(&path, TOKEN, body.as_bytes());
        assert_eq!(reply.status, 204, "{}", String::from_utf8_lossy(&reply.body));
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub(crate) fn until_handled(&self, outcome: &str, count: u64) {
        let name = format!("gitops_listen_handled_total{{outcome=\"{outcome}\"}}");
        self.until(&name, || self.metric(&name) == count);
    }

    /// None is there before the first of its kind was counted.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = Http::default().get(&self.url("/metrics")).unwrap().body;
        let page = String::from_utf8(page).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in:\n{page}")).parse().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn in_spool(&self, folder: &str) -> usize {
        fs_err::read_dir(self.spool.join(folder)).unwrap().count()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let args = [format!("-{name}"), pid.to_string()];
    run(command("kill", &repo::root()).args(args)).success();
}

/// A script for `--xtask`, through which the real one is reached, or not yet.
pub(crate) fn door(scratch: &Scratch, name: &str, lines: &str) -> String {
    let (file, folder) = (scratch.path(name), scratch.path("").display().to_string());
    let xtask = repo::xtask();
    let text = format!("#!/bin/sh\nfolder='{folder}'\nxtask='{}'\n{lines}\n", xtask.display());
    fs_err::write(&file, text).unwrap();
    fs_err::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    file.display().to_string()
}

/// Lines of a file that may not be there yet.
pub(crate) fn lines(file: &Path) -> Vec<String> {
    let text = fs_err::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn rollbacks(scratch: &Scratch) -> usize {
    scratch.titles().iter().filter(|title| title.starts_with("rollback(")).count()
}
