//! What the texts of flags and variables mean.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::TOKEN;
use crate::auth::{Access, Token};

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_error| format!("`{text}` is not like 127.0.0.1, 0.0.0.0 or ::"))
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_error| format!("`{text}` is not a port from 0 to 65535"))
}

pub(super) fn access(file: Option<PathBuf>, token: Option<&str>) -> Result<Access, String> {
    match (file, token.filter(|token| !token.is_empty())) {
        (Some(_), Some(_)) => Err(format!("and a token by --token or {TOKEN}: which one?")),
        (None, None) => Err(format!("missing, and so is {TOKEN}: nobody is let in without")),
        (None, Some(token)) => Token::new(token).map(Access::Fixed),
        (Some(file), None) => Access::of_file(file),
    }
}

pub(super) fn xtask(given: Option<PathBuf>) -> Result<PathBuf, String> {
    const NAME: &str = "xtask";
    if let Some(given) = given {
        // It is started from wherever we are, and a bare name would be looked up on the PATH.
        let path = std::path::absolute(&given).ok().filter(|path| path.is_file());
        return path.ok_or_else(|| format!("`{}` is not a file", given.display()));
    }
    let beside = env::current_exe().ok().and_then(|own| own.parent().map(|dir| dir.join(NAME)));
    let path = env::var_os("PATH").unwrap_or_default();
    let listed = env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(NAME));
    let found = beside.into_iter().chain(listed).find(|path| Path::is_file(path));
    found.ok_or_else(|| format!("missing: `{NAME}` is neither beside this program nor on the PATH"))
}

pub(super) fn page_url(given: Option<String>) -> Result<Option<String>, String> {
    let given = given.filter(|url| !url.is_empty());
    let is_address = |url: &str| {
        let uri = url.parse::<poem::http::Uri>();
        uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
    };
    match given {
        Some(url) if !is_address(&url) => {
            Err("this is not an address with http or https".to_owned())
        }
        given => Ok(given),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err(format!("`{text}` is not a whole number from 1 to 1000000")),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_numeric()).unwrap_or(text.len()));
    match (number.parse::<u32>(), unit) {
        (Ok(number @ 1..), "ms") => Ok(Duration::from_millis(number.into())),
        (Ok(number @ 1..=86_400), "s") => Ok(Duration::from_secs(number.into())),
        (Ok(number @ 1..=1440), "m") => Ok(Duration::from_secs(u64::from(number) * 60)),
        _ => Err(format!("`{text}` is not a time such as 500ms, 5s or 2m, up to a day")),
    }
}
