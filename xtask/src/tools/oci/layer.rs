//! [`Layer`]: files as a tar archive. The same files give the same bytes: names in order, no times, one
//! owner. Reading trusts nothing: only files and folders, only below the folder they are unpacked into.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use contract::digest::{Digest, Hashing};
use flate2::read::GzDecoder;
use fs_err as fs;
use tar::{Archive, Builder, EntryType, Header};

use super::{Descriptor, Source};

/// Who owns the files: the user that the service runs as.
const OWNER: u64 = 65532;
/// First bytes of a gzip stream: RFC 1952.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file of this machine, and whether it is a program.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) from: PathBuf,
    pub(crate) executable: bool,
}

/// Files by their path in the image, without a leading slash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer(pub(crate) BTreeMap<String, File>);

impl Layer {
    /// Every file of a folder, however deep.
    pub(crate) fn of_folder(folder: &Path, at: &str) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.with_context(|| format!("`{}` is no UTF-8", path.display()))?;
            let at = format!("{at}/{name}");
            if path.is_dir() {
                files.extend(Self::of_folder(&path, &at)?.0);
            } else {
                files.insert(at, File { from: path, executable: false });
            }
        }
        Ok(Self(files))
    }

    pub(super) fn write(&self, to: impl Write) -> anyhow::Result<()> {
        let mut archive = Builder::new(to);
        for (path, File { from, executable }) in &self.0 {
            let file = fs::File::open(from)?;
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(file.metadata()?.len());
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            header.set_uid(OWNER);
            header.set_gid(OWNER);
            header.set_mtime(0);
            archive
                .append_data(&mut header, path, file)
                .with_context(|| format!("archiving `{}`", from.display()))?;
        }
        archive.into_inner()?.flush()?;
        Ok(())
    }
}

/// Unpacks one layer into a folder, and fails unless every byte of it was what its digest says.
pub(crate) fn unpack(source: &dyn Source, layer: &Descriptor, into: &Path) -> anyhow::Result<()> {
    let mut blob = Hashing::new(source.blob(layer)?.take(layer.size.saturating_add(1)));
    extract(&mut blob, into).with_context(|| format!("unpacking {}", layer.digest))?;
    // An archive may end before its blob does.
    io::copy(&mut blob, &mut io::sink())?;
    let (digest, _size, _) = blob.finish();
    ensure!(digest == layer.digest, "what is stored as {} is something else", layer.digest);
    Ok(())
}

fn extract(blob: impl Read, into: &Path) -> anyhow::Result<()> {
    let mut blob = BufReader::with_capacity(1 << 20, blob);
    let is_gzip = io::BufRead::fill_buf(&mut blob)?.starts_with(&GZIP);
    let blob: Box<dyn Read + '_> =
        if is_gzip { Box::new(GzDecoder::new(blob)) } else { Box::new(blob) };
    let mut archive = Archive::new(blob);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let within = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let inside = name.components().all(within);
        ensure!(inside, "it has a path that leads elsewhere: `{}`", name.display());
        let hidden = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(!hidden.starts_with(".wh."), "it removes files of lower layers: `{hidden}`");
        let path = into.join(&name);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&path)?,
            EntryType::Regular => {
                fs::create_dir_all(path.parent().unwrap_or(into))?;
                let executable = entry.header().mode()? & 0o100 != 0;
                let mut file = fs::File::create_new(&path)?;
                io::copy(&mut entry, &mut file)?;
                protect(&path, executable)?;
            }
            other => bail!("it has `{}`, neither file nor folder: {other:?}", name.display()),
        }
    }
    // What follows an archive's end is compression's own check.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// Files of a layer are shared by every root that has it, so no process is to write to them.
#[cfg(unix)]
fn protect(path: &Path, executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if executable { 0o555 } else { 0o444 };
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn protect(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

/// The digest and size that a layer's archive will have.
pub(super) fn measure(layer: &Layer) -> anyhow::Result<(Digest, u64)> {
    let mut hashing = Hashing::new(io::sink());
    layer.write(&mut hashing)?;
    let (digest, size, _) = hashing.finish();
    Ok((digest, size))
}
