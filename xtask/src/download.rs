//! Fetches one file whose size and digest are known, from a folder or over HTTP. An interrupted
//! download continues where it stopped; a file that is not the expected one never takes its place.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::atomic;
use contract::digest::Digest;
use contract::task::RemoteFile;
use fs_err as fs;
use indicatif::{ProgressBar, ProgressStyle};
use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig};

/// Where files of a data set may be found: a folder or a base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mirror {
    Folder(PathBuf),
    Url(String),
}

impl From<&str> for Mirror {
    fn from(text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            Self::Url(format!("{}/", text.trim_end_matches('/')))
        } else {
            Self::Folder(PathBuf::from(text.strip_prefix("file://").unwrap_or(text)))
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[derive(Debug)]
pub(crate) enum DownloadError {
    /// The mirror did not give the file: no connection, no such file, cut off again and again.
    Unavailable(String),
    /// The mirror gave something else.
    Wrong(WrongFile),
    /// Our own disk.
    Local(io::Error),
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) => f.write_str(reason),
            Self::Wrong(wrong) => wrong.fmt(f),
            Self::Local(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DownloadError {}

#[derive(Debug)]
pub(crate) struct WrongFile {
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl fmt::Display for WrongFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not the expected file: expected {}, found {}",
            self.path, self.expected, self.found
        )
    }
}

/// Whether the file at `path` is `file`: `None` if it is not there.
pub(crate) fn verify(path: &Path, file: &RemoteFile) -> io::Result<Option<Result<(), WrongFile>>> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let wrong = |expected, found| {
        Ok(Some(Err(WrongFile { path: path.display().to_string(), expected, found })))
    };
    if bytes != file.bytes {
        return wrong(format!("{} bytes", file.bytes), format!("{bytes} bytes"));
    }
    let found = Digest::of_file(path)?;
    if found == file.sha256.0 {
        Ok(Some(Ok(())))
    } else {
        wrong(file.sha256.0.to_string(), found.to_string())
    }
}

/// Puts `file` from `mirror` into `folder`.
pub(crate) fn fetch(
    mirror: &Mirror,
    file: &RemoteFile,
    folder: &Path,
) -> Result<(), DownloadError> {
    fs::create_dir_all(folder).map_err(DownloadError::Local)?;
    let target = folder.join(&file.file);
    match mirror {
        Mirror::Folder(source) => copy(&source.join(&file.file), file, &target),
        Mirror::Url(base) => {
            let part = folder.join(format!(".{}.part", file.file));
            download(&format!("{base}{}", file.file), file, &part, &target)
        }
    }
}

fn copy(source: &Path, file: &RemoteFile, target: &Path) -> Result<(), DownloadError> {
    match verify(source, file) {
        Err(error) => Err(DownloadError::Unavailable(error.to_string())),
        Ok(None) => Err(DownloadError::Unavailable(format!("`{}` is not there", source.display()))),
        Ok(Some(Err(wrong))) => Err(DownloadError::Wrong(wrong)),
        Ok(Some(Ok(()))) => fs::read(source)
            .and_then(|content| atomic::write_file(target, &content))
            .map_err(DownloadError::Local),
    }
}

/// Attempts in a row that gained nothing, each after twice the wait of the one before.
const RETRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);

fn download(url: &str, file: &RemoteFile, part: &Path, target: &Path) -> Result<(), DownloadError> {
    let continued = fs::metadata(part).is_ok_and(|metadata| metadata.len() > 0);
    match download_rest(url, file, part, target) {
        // The beginning may have been another mirror's; this one's own bytes decide.
        Err(DownloadError::Wrong(_)) if continued => download_rest(url, file, part, target),
        result => result,
    }
}

fn download_rest(
    url: &str,
    file: &RemoteFile,
    part: &Path,
    target: &Path,
) -> Result<(), DownloadError> {
    let bar = progress_bar(file);
    let agent = agent();
    let mut retries = 0;
    loop {
        let before = bar.position();
        match attempt(&agent, url, file, part, &bar) {
            Ok(()) => break,
            Err(Attempt::Final(error)) => return Err(error),
            Err(Attempt::Retry(_)) if bar.position() > before => retries = 0,
            Err(Attempt::Retry(reason)) if retries == RETRIES => {
                return Err(DownloadError::Unavailable(format!("{url}: {reason}")));
            }
            Err(Attempt::Retry(_)) => {
                std::thread::sleep(FIRST_WAIT * 2u32.pow(retries));
                retries += 1;
            }
        }
    }
    bar.finish_and_clear();
    match verify(part, file).map_err(DownloadError::Local)? {
        Some(Ok(())) => atomic::publish(part, target).map_err(DownloadError::Local),
        Some(Err(wrong)) => {
            // Continuing from these bytes could never end well.
            fs::remove_file(part).map_err(DownloadError::Local)?;
            Err(DownloadError::Wrong(WrongFile { path: url.to_owned(), ..wrong }))
        }
        None => Err(DownloadError::Unavailable(format!("`{}` vanished", part.display()))),
    }
}

enum Attempt {
    Retry(String),
    Final(DownloadError),
}

/// One request for the bytes still missing, appended to `part`.
fn attempt(
    agent: &ureq::Agent,
    url: &str,
    file: &RemoteFile,
    part: &Path,
    bar: &ProgressBar,
) -> Result<(), Attempt> {
    let local = |error| Attempt::Final(DownloadError::Local(error));
    let mut out = fs::OpenOptions::new().create(true).append(true).open(part).map_err(local)?;
    let have = out.metadata().map_err(local)?.len();
    if have >= file.bytes {
        return Ok(());
    }
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|error| Attempt::Retry(error.to_string()))?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {}
        StatusCode::OK => out.set_len(0).map_err(local)?,
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Attempt::Retry(format!("status {status}")));
        }
        status => {
            return Err(Attempt::Final(DownloadError::Unavailable(format!(
                "{url}: status {status}"
            ))));
        }
    }
    // One byte more than expected is enough to know that this is another file.
    let mut have = out.metadata().map_err(local)?.len();
    let mut body = response.body_mut().as_reader().take(file.bytes + 1 - have.min(file.bytes));
    let mut buffer = vec![0; 1 << 16];
    bar.set_position(have);
    loop {
        match body.read(&mut buffer) {
            Ok(0) if have < file.bytes => {
                return Err(Attempt::Retry(format!(
                    "cut off after {have} of {} bytes",
                    file.bytes
                )));
            }
            Ok(0) => return Ok(()),
            Ok(n) => {
                out.write_all(&buffer[..n]).map_err(local)?;
                have += n as u64;
                bar.set_position(have);
            }
            Err(error) => return Err(Attempt::Retry(error.to_string())),
        }
    }
}

pub(crate) fn agent() -> ureq::Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        // Ends a stalled body; a slow one continues in the next attempt.
        .timeout_recv_body(Some(Duration::from_mins(1)))
        .tls_config(tls)
        .build()
        .into()
}

/// Shown on a terminal only; elsewhere the caller's line about the file is enough.
fn progress_bar(file: &RemoteFile) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(file.bytes)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(file.file.clone())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Serves `content` on loopback, at most `cut` bytes of it per request; returns the base URL.
    fn mirror(content: &'static [u8], cut: usize) -> Mirror {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                let from: usize = request
                    .split_once("range: bytes=")
                    .map_or(0, |(_, range)| range.split('-').next().unwrap().parse().unwrap());
                let rest = &content[from..];
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", rest.len());
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&rest[..rest.len().min(cut)]).unwrap();
            }
        });
        Mirror::from(url.as_str())
    }

    const CONTENT: &[u8] = b"what the file should hold";

    fn file() -> RemoteFile {
        RemoteFile {
            file: "file.gz".to_owned(),
            bytes: CONTENT.len() as u64,
            sha256: contract::task::Sha256Hex(Digest::of(CONTENT)),
        }
    }

    #[test]
    fn a_download_cut_off_again_and_again_continues_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        fetch(&mirror(CONTENT, 7), &file(), folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("file.gz")).unwrap(), CONTENT);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn half_a_file_of_an_earlier_run_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".file.gz.part"), &CONTENT[..10]).unwrap();
        fetch(&mirror(CONTENT, 1000), &file(), folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("file.gz")).unwrap(), CONTENT);
    }

    #[test]
    fn a_beginning_that_is_not_this_mirrors_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".file.gz.part"), b"<html>").unwrap();
        fetch(&mirror(CONTENT, 1000), &file(), folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("file.gz")).unwrap(), CONTENT);
    }

    #[test]
    fn another_file_is_refused_with_what_was_expected_and_the_good_one_stays() {
        let check = |wrong: &'static [u8]| {
            let folder = tempfile::tempdir().unwrap();
            let good = folder.path().join("file.gz");
            fs::write(&good, CONTENT).unwrap();
            let error = fetch(&mirror(wrong, 1000), &file(), folder.path()).unwrap_err();
            assert!(matches!(error, DownloadError::Wrong(_)), "{error}");
            for part in ["file.gz", "expected", "found"] {
                assert!(error.to_string().contains(part), "{error}");
            }
            assert_eq!(fs::read(&good).unwrap(), CONTENT);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no part of it is kept");
        };
        check(b"what the file should HOLD");
        check(b"what the file should hold, and more than that");
    }

    #[test]
    fn a_folder_is_a_mirror_too() {
        let folder = tempfile::tempdir().unwrap();
        let source = tempfile::tempdir().unwrap();
        let mirror = Mirror::Folder(source.path().to_owned());
        let error = fetch(&mirror, &file(), folder.path()).unwrap_err();
        assert!(matches!(error, DownloadError::Unavailable(_)), "{error}");
        fs::write(source.path().join("file.gz"), &CONTENT[1..]).unwrap();
        let error = fetch(&mirror, &file(), folder.path()).unwrap_err();
        assert!(matches!(error, DownloadError::Wrong(_)), "{error}");
        fs::write(source.path().join("file.gz"), CONTENT).unwrap();
        fetch(&mirror, &file(), folder.path()).unwrap();
        assert!(verify(&folder.path().join("file.gz"), &file()).unwrap().unwrap().is_ok());
    }
}
