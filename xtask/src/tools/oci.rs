//! Images as files, by the OCI image specification 1.1: what a manifest says, and where its blobs come
//! from. Everything is known by its digest and read only as far as the digest holds.
//!
//! Four small structures are all that is needed of the specification; a crate of its types would be a
//! fifth of all that `xtask` is built from.

mod layer;
mod layout;

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, bail, ensure};
use contract::digest::Digest;
use serde::{Deserialize, Serialize};

pub(crate) use layer::{File, Layer, unpack};
pub(crate) use layout::{Layout, Unpacked};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Largest manifest or configuration that is read.
const MOST_JSON: u64 = 4 << 20;

/// A blob by its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    /// Of an index's entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
}

impl Descriptor {
    fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, annotations: BTreeMap::new(), platform: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Platform {
    /// That of this machine, as Go, and so every image, calls it.
    fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned() }
    }
}

/// Images of several platforms under one digest, or of several names in one folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    media_type: String,
    pub(crate) config: Descriptor,
    /// The lowest first.
    pub(crate) layers: Vec<Descriptor>,
}

/// What an image says of the process that is started from it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Settings {
    /// `NAME=value`
    #[serde(deserialize_with = "null_is_none")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "null_is_none")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_none")]
    pub(crate) cmd: Vec<String>,
    pub(crate) user: String,
    #[serde(deserialize_with = "null_is_none")]
    pub(crate) labels: BTreeMap<String, String>,
}

/// Docker writes `null` for an empty list.
fn null_is_none<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: Platform,
    #[serde(rename = "config")]
    settings: Option<Settings>,
    rootfs: RootFs,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    /// Of the layers before compression.
    diff_ids: Vec<Digest>,
}

/// An image that is yet to be written.
pub(crate) struct Image {
    /// The lowest first; what changes most comes last.
    pub(crate) layers: Vec<Layer>,
    pub(crate) settings: Settings,
}

/// Where blobs come from. What a source gives is not believed before its digest holds.
pub(crate) trait Source {
    fn manifest(&self, digest: Digest) -> anyhow::Result<Box<dyn Read + '_>>;
    fn blob(&self, descriptor: &Descriptor) -> anyhow::Result<Box<dyn Read + '_>>;
}

/// The manifest for this machine's platform, where an index has several.
pub(crate) fn manifest(source: &dyn Source, digest: Digest) -> anyhow::Result<Manifest> {
    let json = whole(source.manifest(digest)?, digest)?;
    if let Ok(index) = serde_json::from_slice::<Index>(&json) {
        let here = Platform::here();
        let mut fitting =
            index.manifests.iter().filter(|entry| entry.platform.as_ref() == Some(&here));
        let Some(entry) = fitting.next() else {
            bail!("{digest} has no image for {} on {}", here.os, here.architecture);
        };
        return read_manifest(&whole(source.manifest(entry.digest)?, entry.digest)?, entry.digest);
    }
    read_manifest(&json, digest)
}

fn read_manifest(json: &[u8], digest: Digest) -> anyhow::Result<Manifest> {
    let manifest: Manifest =
        serde_json::from_slice(json).with_context(|| format!("{digest} is no image manifest"))?;
    ensure!(manifest.schema_version == 2, "{digest} is a manifest of another schema");
    Ok(manifest)
}

pub(crate) fn labels(
    source: &dyn Source,
    digest: Digest,
) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(settings(source, &manifest(source, digest)?)?.labels)
}

fn settings(source: &dyn Source, manifest: &Manifest) -> anyhow::Result<Settings> {
    let json = whole(source.blob(&manifest.config)?, manifest.config.digest)?;
    let config: Config = serde_json::from_slice(&json)
        .with_context(|| format!("{} is no image configuration", manifest.config.digest))?;
    Ok(config.settings.unwrap_or_default())
}

/// All that a small blob holds.
fn whole(reader: Box<dyn Read + '_>, digest: Digest) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MOST_JSON).read_to_end(&mut bytes).with_context(|| format!("reading {digest}"))?;
    ensure!(Digest::of(&bytes) == digest, "what is stored as {digest} is something else");
    Ok(bytes)
}

#[cfg(test)]
mod tests;
