//! Our two images as files, for [`crate::tools::oci`]: the layers of `Dockerfile` and `model/Dockerfile`, with
//! the labels and variables that anybody reads, and without a base image. So the service's runs with the C
//! library of whoever unpacks it, and its label says so.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use contract::artifact::{Artifact, MANIFEST};
use contract::digest::Digest;
use fs_err as fs;

use crate::deliver::program::Program;
use crate::tools::oci::{self, File, Image, Layer, Settings, Source};

pub(crate) const APP_VERSION_LABEL: &str = "org.opencontainers.image.version";
pub(crate) const REVISION_LABEL: &str = "org.opencontainers.image.revision";
const BASE_LABEL: &str = "org.opencontainers.image.base.name";
pub(crate) const MODEL_VERSION_LABEL: &str = "mnist-api.model.version";
pub(crate) const MODEL_DIGEST_LABEL: &str = "mnist-api.model.digest";

/// Where an artifact lies in either image.
const MODELS: &str = "models";
const LIBRARIES: &str = "app/lib";
const PROGRAM: &str = "app/bin/mnist-api";
/// Only the linker of a build reads it.
const LINKER_SCRIPT: &str = "app/lib/libtorch.so";

pub(crate) fn model_image(artifact: &Artifact) -> Image {
    let labels = labels(artifact, artifact.manifest().model_version.as_str());
    let settings = Settings { labels, ..Settings::default() };
    Image { layers: vec![models(artifact)], settings }
}

/// `libtorch` is the folder that was built against.
pub(crate) fn service_image(
    binary: &Path,
    libtorch: &Path,
    artifact: &Artifact,
    program: &Program,
) -> anyhow::Result<Image> {
    let mut libraries = Layer::of_folder(&libtorch.join("lib"), LIBRARIES)?;
    libraries.0.remove(LINKER_SCRIPT);
    let binary = File { from: binary.to_owned(), executable: true };
    let binary = Layer(BTreeMap::from([(PROGRAM.to_owned(), binary)]));
    let version = program.version();
    let mut labels = labels(artifact, &version);
    labels.insert(REVISION_LABEL.to_owned(), program.revision.clone());
    labels.insert(BASE_LABEL.to_owned(), "none: runs with the host's C library".to_owned());
    let env = [
        ("APP_VERSION", version.as_str()),
        ("APP_REVISION", &program.revision),
        ("MODEL_DIR", "/models"),
        ("LISTEN", "0.0.0.0:8000"),
    ];
    let settings = Settings {
        env: env.map(|(name, value)| format!("{name}={value}")).to_vec(),
        entrypoint: vec![format!("/{PROGRAM}")],
        cmd: vec!["serve".to_owned()],
        user: "65532:65532".to_owned(),
        labels,
    };
    Ok(Image { layers: vec![libraries, binary, models(artifact)], settings })
}

/// What the manifest vouches for, and the manifest; a file that somebody left beside is no part of it.
fn models(artifact: &Artifact) -> Layer {
    let names = artifact.manifest().files.keys().map(String::as_str);
    let file = |name: &str| {
        let from = artifact.path().join(name);
        (format!("{MODELS}/{name}"), File { from, executable: false })
    };
    Layer(names.chain([MANIFEST]).map(file).collect())
}

/// The artifact that an image of its own holds, at `into`, whole or not at all.
pub(crate) fn fetch_artifact(
    source: &dyn Source,
    digest: Digest,
    into: &Path,
) -> anyhow::Result<()> {
    let parent = into.parent().context("an artifact needs a folder to lie in")?;
    fs::create_dir_all(parent)?;
    let root = tempfile::tempdir_in(parent).context("making a folder to unpack into")?;
    for layer in &oci::manifest(source, digest)?.layers {
        oci::unpack(source, layer, root.path())?;
    }
    let artifact = root.path().join(MODELS);
    ensure!(artifact.is_dir(), "{digest} is not the image of an artifact: it has no /{MODELS}");
    Ok(fs::rename(artifact, into)?)
}

fn labels(artifact: &Artifact, version: &str) -> BTreeMap<String, String> {
    let manifest = artifact.manifest();
    let labels = [
        (APP_VERSION_LABEL, version.to_owned()),
        (MODEL_VERSION_LABEL, manifest.model_version.to_string()),
        (MODEL_DIGEST_LABEL, manifest.model_digest.to_string()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
