//! A container registry of its own for one test, gone with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use contract::digest::Digest;
use serde_json::{Value, json};

use crate::http::Http;
use crate::process::command;
use crate::server::free_port;

pub struct Registry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

/// A user `tester` with the password `secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "tester:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const BLOB: &str = "application/octet-stream";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// And as `docker login` keeps it: `tester:secret` in base64.
const AUTH: &str = "dGVzdGVyOnNlY3JldA==";

impl Registry {
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// One that lets nobody in without a login.
    #[track_caller]
    pub fn start_locked() -> Self {
        Self::start_with("auth: { htpasswd: { realm: test, path: htpasswd } }\n")
    }

    fn start_with(auth: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, data) = (free_port(), folder.path().join("data"));
        let config = folder.path().join("config.yml");
        // Loopback only, where engines ask for no TLS.
        let text = format!(
            "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: 127.0.0.1:{port} }}\n{auth}",
            data.display()
        );
        fs_err::write(&config, text).expect("a temporary folder is writable");
        fs_err::write(folder.path().join("htpasswd"), HTPASSWD).expect("and again");
        let registry = Self { child: serve(folder.path()), port, folder };
        registry.wait();
        registry
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Http::default().get(&self.url("/v2/")).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }

    /// On the same port, with all that it had stored.
    #[track_caller]
    pub fn restart(&mut self) {
        self.child = serve(self.folder.path());
        self.wait();
    }

    /// Puts a login into a folder that `DOCKER_CONFIG` may name.
    pub fn login(&self, folder: &Path, auth: &str) {
        let config = format!(r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"{auth}"}}}}}}"#, self.port);
        fs_err::write(folder.join("config.json"), config).expect("a folder to write to");
    }

    /// The login that is let in.
    pub fn auth() -> &'static str {
        AUTH
    }

    /// The file that a blob is kept in.
    pub fn blob(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// Name of a repository in it.
    pub fn repository(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// An image without files, named after a version, as whoever may push puts it there.
    #[track_caller]
    pub fn push(&self, repository: &str, version: &str) -> Digest {
        self.push_image(repository, version, &json!({ "version": version }), &[])
    }

    /// One with these labels, and these archives as its layers.
    #[track_caller]
    pub fn push_image(
        &self,
        repository: &str,
        tag: &str,
        labels: &Value,
        layers: &[Vec<u8>],
    ) -> Digest {
        let kind = |name: &str| format!("application/vnd.oci.image.{name}");
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| self.put_blob(repository, &kind("layer.v1.tar"), layer))
            .collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
        let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config =
            self.put_blob(repository, &kind("config.v1+json"), config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
            "layers": layers });
        let manifest = manifest.to_string();
        let place = self.url(&format!("/v2/{repository}/manifests/{tag}"));
        let sent = Http::default().put(&place, MANIFEST, manifest.as_bytes());
        assert_eq!(sent.expect("the registry answers").status, 201);
        Digest::of(manifest.as_bytes())
    }

    /// What a manifest says of it.
    #[track_caller]
    fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let http = Http::default();
        let upload = http.post(&self.url(&format!("/v2/{repository}/blobs/uploads/")), BLOB, b"");
        let upload = upload.expect("the registry answers");
        let place = upload.header("location").expect("an upload has a place");
        let separator = if place.contains('?') { '&' } else { '?' };
        let digest = Digest::of(bytes);
        let sent = http.put(&format!("{place}{separator}digest={digest}"), BLOB, bytes);
        assert_eq!(sent.expect("the registry answers").status, 201);
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    /// Bytes of everything that was ever pushed.
    pub fn bytes(&self) -> u64 {
        files(&self.folder.path().join("data"))
            .iter()
            .map(|file| fs_err::metadata(file).map_or(0, |metadata| metadata.len()))
            .sum()
    }
}

fn serve(folder: &Path) -> Child {
    command("docker-registry", folder)
        .args(["serve", "config.yml"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry starts")
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
