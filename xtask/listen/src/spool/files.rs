//! Files that are whole and for good, or not there.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err::File;

/// Whole and for good, or not at all.
pub(super) fn write(path: &Path, content: &[u8], time: SystemTime) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.file().set_modified(time)?;
    file.sync_all()?;
    fs_err::rename(&temporary, path)?;
    // The name is the folder's.
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs_err::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}
