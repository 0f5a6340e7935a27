//! A container registry of its own for one test, gone with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::http::Http;
use crate::process::command;
use crate::server::free_port;

pub struct Registry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Registry {
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, data) = (free_port(), folder.path().join("data"));
        let config = folder.path().join("config.yml");
        // Loopback only, where engines ask for no TLS.
        let text = format!(
            "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: 127.0.0.1:{port} }}\n",
            data.display()
        );
        fs_err::write(&config, text).expect("a temporary folder is writable");
        let child = command("docker-registry", folder.path())
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry starts");
        let registry = Self { child, port, folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while Http::default().get(&registry.url("/v2/")).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Name of a repository in it.
    pub fn repository(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Bytes of everything that was ever pushed.
    pub fn bytes(&self) -> u64 {
        files(&self.folder.path().join("data"))
            .iter()
            .map(|file| fs_err::metadata(file).map_or(0, |metadata| metadata.len()))
            .sum()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}
