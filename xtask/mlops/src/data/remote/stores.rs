//! From DVC's settings of a remote to a store.

mod s3;

use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig};

use reqwest::header::HeaderName;

use super::{Kind, RETRIES, RETRY_TIME, Remote, absolute};
use crate::data::config::Settings;
use crate::data::hinted;

pub(super) fn open(settings: &Settings<'_>, folder: &Path, write: bool) -> anyhow::Result<Remote> {
    let (store, prefix, kind) = store(settings, folder, write)?;
    Ok(Remote { name: settings.name.clone(), store, prefix: prefix.into(), kind })
}

/// With what it is below, in there.
pub(super) fn store<'a>(
    settings: &Settings<'a>,
    folder: &Path,
    write: bool,
) -> anyhow::Result<(Arc<dyn ObjectStore>, &'a str, Kind)> {
    let url = settings.get("url").context("it has no `url`")?;
    let (scheme, place) = url.split_once("://").unwrap_or(("file", url));
    if scheme != "file" {
        use_our_tls();
    }
    Ok(match scheme {
        "file" => (local(&absolute(folder, place), write)?, "", Kind::Folder),
        "s3" => {
            let (bucket, prefix) = in_bucket(url, place)?;
            (s3::store(settings, bucket)?, prefix, Kind::Cloud)
        }
        "http" | "https" => (http(settings, url, write)?, "", Kind::Http),
        "gs" | "gcs" => {
            let (bucket, prefix) = in_bucket(url, place)?;
            let store = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            (built(store.with_retry(retries()).build())?, prefix, Kind::Cloud)
        }
        "azure" => {
            let (container, prefix) = in_bucket(url, place)?;
            let mut store = MicrosoftAzureBuilder::from_env().with_container_name(container);
            if let Some(account) = settings.get("account_name") {
                store = store.with_account(account);
            }
            (built(store.with_retry(retries()).build())?, prefix, Kind::Cloud)
        }
        other => {
            return Err(hinted(
                format_args!("nothing here speaks `{other}`"),
                "a folder, s3://, http(s)://, gs:// and azure:// can be used",
            ));
        }
    })
}

fn local(folder: &Path, write: bool) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if write {
        fs_err::create_dir_all(folder)?;
    } else if !folder.is_dir() {
        return Err(hinted(
            format_args!("the folder `{}` is not there", folder.display()),
            "mount it, or push to it first",
        ));
    }
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
}

/// The bucket, and what comes after it.
fn in_bucket<'a>(url: &str, place: &'a str) -> anyhow::Result<(&'a str, &'a str)> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_name = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    if bucket.is_empty() || !bucket.chars().all(is_name) {
        let scheme = url.split("://").next().unwrap_or_default();
        return Err(hinted(
            format_args!("`{url}` names no bucket"),
            format_args!("{scheme}://BUCKET/PREFIX does"),
        ));
    }
    Ok((bucket, prefix))
}

fn built<S: ObjectStore>(store: object_store::Result<S>) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let store = store.map_err(|error| {
        hinted(error, "see .dvc/config, and `cargo xtask data push --help` for what it may say")
    })?;
    Ok(Arc::new(store))
}

fn http(settings: &Settings<'_>, url: &str, write: bool) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if write && settings.get("method").is_none_or(|method| !method.eq_ignore_ascii_case("put")) {
        return Err(hinted(
            "files are sent by PUT here, and DVC would send them by POST",
            "where the server takes PUT, say so to both in .dvc/config: method = PUT",
        ));
    }
    let mut options = ClientOptions::new()
        .with_allow_http(url.starts_with("http://"))
        .with_connect_timeout(Duration::from_secs(10))
        // A file may take longer than any fixed time.
        .with_timeout_disabled()
        .with_read_timeout(Duration::from_mins(1));
    if let Some((name, value)) = authorisation(settings)? {
        let mut value = HeaderValue::from_str(&value).context("its password is no header")?;
        value.set_sensitive(true);
        let name: HeaderName = name.parse().context("`custom_auth_header`")?;
        options = options.with_default_headers(HeaderMap::from_iter([(name, value)]));
    }
    let store = HttpBuilder::new().with_url(url).with_client_options(options);
    built(store.with_retry(retries()).build())
}

fn authorisation(settings: &Settings<'_>) -> anyhow::Result<Option<(String, String)>> {
    let password = settings.get("password").unwrap_or_default();
    match settings.get("auth") {
        None => Ok(None),
        Some("basic") => {
            let user = settings.get("user").context("`auth = basic` without `user`")?;
            let value = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
            Ok(Some(("authorization".to_owned(), value)))
        }
        Some("custom") => {
            let name = settings.get("custom_auth_header");
            let name = name.context("`auth = custom` without `custom_auth_header`")?;
            Ok(Some((name.to_owned(), password.to_owned())))
        }
        Some(other) => bail!("`auth = {other}` is not spoken here: basic and custom are"),
    }
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() }
}

/// The client looks for what the process set.
fn use_our_tls() {
    static ONCE: Once = Once::new();
    // Where another part of this program was faster, it set the same.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
