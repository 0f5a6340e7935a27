//! From settings to an S3. Its client takes endpoint and keys for well formed and panics where they are not, so
//! whatever comes from people is looked at here.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
use reqwest::Url;

use super::{built, retries};
use crate::data::config::Settings;
use crate::data::hinted;

/// As DVC names them, and the environment.
const WORDS: [(&str, &str, Key); 4] = [
    ("region", "AWS_REGION", Key::Region),
    ("access_key_id", "AWS_ACCESS_KEY_ID", Key::AccessKeyId),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
    ("session_token", "AWS_SESSION_TOKEN", Key::Token),
];

pub(super) fn store(settings: &Settings<'_>, bucket: &str) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if let Some(profile) = settings.get("profile") {
        return Err(hinted(
            format_args!("the profile `{profile}` is not read here"),
            "export its credentials: aws configure export-credentials --format env",
        ));
    }
    let mut store = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
    for (name, variable, key) in WORDS {
        if let Some(value) = settings.get(name) {
            store = store.with_config(key, value);
        }
        let value = store.get_config_value(&key).unwrap_or_default();
        if !value.chars().all(|character| character.is_ascii_graphic()) {
            return Err(hinted(
                format_args!(
                    "`{name}`, or {variable}, has a space, a line break or the like in it"
                ),
                "write it anew without; what is read from a file often ends with a line break",
            ));
        }
    }
    let of_environment =
        || [Key::S3Endpoint, Key::Endpoint].iter().find_map(|key| store.get_config_value(key));
    let own = settings.get("endpointurl").map(str::to_owned);
    if let Some(url) = own.clone().or_else(of_environment) {
        let url = endpoint(&url)?;
        if own.is_some() {
            store = store.with_allow_http(url.starts_with("http://"));
        }
        // The former is asked for first, and would win over .dvc/config.
        store = store.with_config(Key::S3Endpoint, &url).with_endpoint(url);
    }
    store = store.with_skip_signature(settings.is_on("allow_anonymous_login"));
    built(store.build())
}

fn endpoint(text: &str) -> anyhow::Result<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.map(|url| url.as_str().trim_end_matches('/').to_owned()).ok_or_else(|| {
        hinted(
            format_args!("the endpoint `{text}` is no URL"),
            "https://HOST or http://HOST:PORT; it comes from .dvc/config, endpointurl, or from AWS_ENDPOINT_URL",
        )
    })
}
