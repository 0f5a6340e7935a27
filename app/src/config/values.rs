//! What the texts of flags and variables mean.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::classifier::MAX_THREADS;
use protocol::receipt::Keys;
use tracing_subscriber::filter::Targets;

use crate::reload::{Reloaded, Source};

pub(super) fn artifact_folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("missing; `cargo xtask train` prints the folder of an artifact".to_owned()),
        path if PathBuf::from(path).is_dir() => Ok(path.into()),
        path => Err(format!("`{path}` is not a folder")),
    }
}

pub(super) fn keys(file: &str) -> Result<Arc<Reloaded<Keys, 1>>, String> {
    Reloaded::open(Source::FeedbackKeys, [Path::new(file)], |[text]| {
        // What is no text has no visible characters either.
        Keys::parse(&String::from_utf8_lossy(text)).map_err(|error| error.to_string())
    })
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_error| format!("`{text}` is not like 127.0.0.1:8000 or [::]:8000"))
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err(format!("`{text}` is not a whole number from 1 to 1000000")),
    }
}

/// More must be asked for: each costs memory, and their callers come through no more threads.
pub(super) const MOST_WORKERS: usize = 8;

/// Cores that this process may use: its affinity and the quotas of its cgroups (v1 and v2) are respected.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MAX_THREADS) => Ok(count),
        _ => Err(format!("`{text}` is not a whole number from 1 to {MAX_THREADS}")),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 5s or 2m");
    let (number, unit) = split(text);
    let number: u32 = number.parse().map_err(|_error| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err(wrong()),
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is not a size such as 65536, 512KiB or 4MiB, up to 256MiB");
    let (number, unit) = split(text);
    let number: usize = number.parse().map_err(|_error| wrong())?;
    let unit = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(bytes) if (1..=256 << 20).contains(&bytes) => Ok(bytes),
        _ => Err(wrong()),
    }
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a share from 0 to 1, such as 0.01")),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_numeric()).unwrap_or(text.len()))
}

pub(super) fn levels(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_error| format!("`{text}` is not like `info` or `info,access=warn`"))
}

/// It travels in a header of every answer.
pub(super) fn header_text(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not 1 to 128 visible ASCII characters", text.escape_debug()))
    }
}
