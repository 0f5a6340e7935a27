//! [`Layout`]: a folder of images in the form that the OCI image specification calls an image layout,
//! which other tools read too. Blobs are written under their digest, whole or not at all, and never
//! changed; only the index that gives them names is replaced.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use contract::atomic::{self, AtomicDir, AtomicFile};
use contract::digest::{Digest, Hashing};
use fs_err as fs;
use gitops::admit::{ImageCheck, Signature};
use gitops::image_reference::ImageReference;
use serde::Serialize;

use super::layer::{measure, unpack};
use super::{
    CONFIG, Config, Descriptor, Image, Index, LAYER, Layer, MANIFEST, Manifest, Platform, RootFs,
    Settings, Source, manifest, settings,
};
use crate::report::{WithHint, step};

/// The annotation that gives an image its name.
const NAME: &str = "org.opencontainers.image.ref.name";
const VERSION_FILE: &str = "oci-layout";
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";

pub(crate) struct Layout {
    folder: PathBuf,
}

/// A root filesystem, and what its image says of the process in it.
pub(crate) struct Unpacked {
    pub(crate) root: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
}

impl Layout {
    /// A layout that is there.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        if !folder.join(VERSION_FILE).is_file() {
            return Err(anyhow::anyhow!("`{}` is no image layout", folder.display()))
                .hint("cargo xtask release --layout DIR makes one");
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Makes a layout that holds no image yet, unless there is one already. It appears whole, so that
    /// whoever looks meanwhile sees none or all of it.
    pub(crate) fn create(folder: &Path) -> anyhow::Result<Self> {
        let there = |folder: &Path| folder.join(VERSION_FILE).is_file();
        if !there(folder) {
            let empty = AtomicDir::create(folder)?;
            let layout = Self { folder: empty.path().to_owned() };
            fs::create_dir_all(layout.blobs())?;
            layout.write_index(&Index { schema_version: 2, manifests: Vec::new() })?;
            atomic::write_file(&empty.path().join(VERSION_FILE), VERSION.as_bytes())?;
            if !empty.commit_new()? && !there(folder) {
                return Err(anyhow::anyhow!("`{}` holds something else", folder.display()))
                    .hint("name a new folder");
            }
        }
        Self::open(folder)
    }

    /// Puts an image in, under a name that may have stood for another one before.
    pub(crate) fn add(&self, repository: &str, tag: &str, image: &Image) -> anyhow::Result<Digest> {
        let layers = image.layers.iter().map(|layer| self.add_layer(layer));
        let layers: Vec<Descriptor> = layers.collect::<anyhow::Result<_>>()?;
        let diff_ids = layers.iter().map(|layer| layer.digest).collect();
        let config = Config {
            platform: Platform::here(),
            settings: Some(image.settings.clone()),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        };
        let config = self.add_json(CONFIG, &config)?;
        let media_type = MANIFEST.to_owned();
        let manifest = Manifest { schema_version: 2, media_type, config, layers };
        let mut named = self.add_json(MANIFEST, &manifest)?;
        let digest = named.digest;
        let name = format!("{repository}:{tag}");
        named.annotations.insert(NAME.to_owned(), name.clone());
        let _lock = self.lock()?;
        let mut index = self.index()?;
        index.manifests.retain(|known| known.annotations.get(NAME) != Some(&name));
        index.manifests.push(named);
        self.write_index(&index)?;
        Ok(digest)
    }

    pub(crate) fn resolve(&self, repository: &str, tag: &str) -> anyhow::Result<Option<Digest>> {
        let name = format!("{repository}:{tag}");
        let manifests = self.index()?.manifests;
        let mut named = manifests.iter().filter(|known| known.annotations.get(NAME) == Some(&name));
        Ok(named.next().map(|known| known.digest))
    }

    /// A yes means that every part is there and is what its digest says.
    pub(crate) fn check(&self, image: &ImageReference) -> ImageCheck {
        match fs::metadata(self.blob_path(image.digest())) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return ImageCheck::Missing,
            Err(error) => {
                step(format_args!("{image} cannot be checked: {error}"));
                return ImageCheck::Unchecked;
            }
        }
        let whole = || {
            let manifest = manifest(self, image.digest())?;
            for part in manifest.layers.iter().chain([&manifest.config]) {
                let found = Digest::of_file(&self.blob_path(part.digest))?;
                ensure!(found == part.digest, "what is stored as {} is {found}", part.digest);
            }
            Ok(())
        };
        match whole() {
            Ok(()) => ImageCheck::Present(Signature::NotRequired),
            Err(error) => {
                let error: anyhow::Error = error;
                step(format_args!("{image} is not whole: {error:#}"));
                ImageCheck::Missing
            }
        }
    }

    /// The image's root filesystem below `into`, made on first use. Layers are unpacked once, and shared
    /// by every root that has them.
    pub(crate) fn unpack(&self, digest: Digest, into: &Path) -> anyhow::Result<Unpacked> {
        let manifest = manifest(self, digest)?;
        let settings = settings(self, &manifest)?;
        let root = into.join(digest.hex());
        fs::create_dir_all(into)?;
        let lock = fs::File::create(into.join(".lock"))?;
        lock.file().lock().context("waiting for another one to unpack")?;
        if !root.exists() {
            let assembled = AtomicDir::create(&root)?;
            for layer in &manifest.layers {
                let store = into.join(".layers").join(layer.digest.hex());
                if !store.exists() {
                    let unpacked = AtomicDir::create(&store)?;
                    unpack(self, layer, unpacked.path())?;
                    unpacked.commit()?;
                }
                link(&store, assembled.path())?;
            }
            assembled.commit()?;
        }
        Unpacked::new(root, settings)
    }

    /// A layout with one image and no name, for programs that read no other: the blobs stay where they are.
    pub(crate) fn only(&self, digest: Digest, into: &Path) -> anyhow::Result<()> {
        let size = fs::metadata(self.blob_path(digest))?.len();
        let manifests = vec![Descriptor::new(MANIFEST, digest, size)];
        let only = Self { folder: into.to_owned() };
        only.write_index(&Index { schema_version: 2, manifests })?;
        atomic::write_file(&into.join(VERSION_FILE), VERSION.as_bytes())?;
        Ok(link_folder(&fs::canonicalize(self.blobs())?, &only.blobs())?)
    }

    fn add_layer(&self, layer: &Layer) -> anyhow::Result<Descriptor> {
        let (digest, size) = measure(layer)?;
        self.add_blob(digest, size, |blob| layer.write(blob))?;
        Ok(Descriptor::new(LAYER, digest, size))
    }

    fn add_json(&self, media_type: &str, value: &impl Serialize) -> anyhow::Result<Descriptor> {
        let json = serde_json::to_vec(value)?;
        let (digest, size) = (Digest::of(&json), json.len() as u64);
        self.add_blob(digest, size, |blob| Ok(blob.write_all(&json)?))?;
        Ok(Descriptor::new(media_type, digest, size))
    }

    fn add_blob(
        &self,
        digest: Digest,
        size: u64,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.blob_path(digest);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == size) {
            return Ok(());
        }
        let mut blob = Hashing::new(AtomicFile::create(&path)?);
        write(&mut blob)?;
        let (written, _, file) = blob.finish();
        ensure!(written == digest, "a file changed while it was being put into an image");
        Ok(file.commit()?)
    }

    fn blobs(&self) -> PathBuf {
        self.folder.join("blobs/sha256")
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    fn index(&self) -> anyhow::Result<Index> {
        let path = self.folder.join(INDEX);
        let json = fs::read(&path)?;
        serde_json::from_slice(&json).with_context(|| format!("`{}` is no index", path.display()))
    }

    fn write_index(&self, index: &Index) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(index)?;
        Ok(atomic::write_file(&self.folder.join(INDEX), &json)?)
    }

    /// Held until it is dropped.
    fn lock(&self) -> anyhow::Result<fs::File> {
        let lock = fs::File::create(self.folder.join(".lock"))?;
        lock.file().lock().context("waiting for another writer of the layout")?;
        Ok(lock)
    }
}

impl Source for Layout {
    fn manifest(&self, digest: Digest) -> anyhow::Result<Box<dyn Read + '_>> {
        let path = self.blob_path(digest);
        if !path.exists() {
            bail!("there is no {digest} in `{}`", self.folder.display());
        }
        Ok(Box::new(fs::File::open(path)?))
    }

    fn blob(&self, descriptor: &Descriptor) -> anyhow::Result<Box<dyn Read + '_>> {
        self.manifest(descriptor.digest)
    }
}

impl Unpacked {
    fn new(root: PathBuf, settings: Settings) -> anyhow::Result<Self> {
        let pair = |line: &String| {
            let (name, value) = line.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let env: Option<Vec<_>> = settings.env.iter().map(pair).collect();
        let env = env.context("the image has a variable without a value")?;
        Ok(Self { root, env, entrypoint: settings.entrypoint, cmd: settings.cmd })
    }
}

#[cfg(unix)]
fn link_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::hard_link(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Puts the files of `layer` into `root`, over those that a lower layer put there.
fn link(layer: &Path, root: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(layer)? {
        let from = entry?.path();
        let to = root.join(from.file_name().context("an entry without a name")?);
        if from.is_dir() {
            fs::create_dir_all(&to)?;
            link(&from, &to)?;
        } else {
            if to.exists() {
                fs::remove_file(&to)?;
            }
            fs::hard_link(&from, &to)?;
        }
    }
    Ok(())
}
