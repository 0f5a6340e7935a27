//! The one way a file or a folder comes into being: written beside its place under a hidden name,
//! flushed to disk, then renamed. Whoever looks sees nothing or the whole; kill -9 leaves at most a
//! hidden `.NAME.partial-PID.N`, which the next writer of the same name removes.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err::{self as fs, File, OpenOptions};

/// Writes the whole content of `path`, replacing what was there.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit()
}

/// Moves a file that is known to be whole to its place, flushed first. For writers that must keep their
/// half-written file under a name of its own, to continue it later.
pub fn publish(whole: &Path, target: &Path) -> io::Result<()> {
    File::open(whole)?.sync_all()?;
    fs::rename(whole, target)?;
    sync_parent(target)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// A file that appears at its path on [`AtomicFile::commit`] and never before.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    partial: Partial,
}

impl AtomicFile {
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::open(Partial::beside(path)?)
    }

    fn open(partial: Partial) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(&partial.path)?;
        Ok(Self { file, partial })
    }

    pub fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        self.partial.publish()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A folder that killed writers left nothing in. Many files are written into it without a look at all of it for each.
#[derive(Debug)]
pub struct Swept(PathBuf);

impl Swept {
    /// Made if it is not there.
    pub fn sweep(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        remove_orphans(folder, |name| {
            name.strip_prefix('.')?.split_once(PARTIAL).map(|(_, owner)| owner)
        })?;
        Ok(Self(folder.to_owned()))
    }

    /// As [`AtomicFile::create`]; `name` is that of the file alone.
    pub fn create(&self, name: &OsStr) -> io::Result<AtomicFile> {
        AtomicFile::open(Partial::in_folder(&self.0, name)?)
    }
}

/// A folder that appears at its path on [`AtomicDir::commit`] and never before. A folder that is
/// already there is replaced; between the two renames there is none. Of several writers of one path, the
/// last is seen.
#[derive(Debug)]
pub struct AtomicDir {
    partial: Partial,
}

impl AtomicDir {
    pub fn create(path: &Path) -> io::Result<Self> {
        let partial = Partial::beside(path)?;
        fs::create_dir(&partial.path)?;
        Ok(Self { partial })
    }

    /// Where to put the content until it is committed.
    pub fn path(&self) -> &Path {
        &self.partial.path
    }

    pub fn commit(self) -> io::Result<()> {
        sync_tree(&self.partial.path)?;
        self.partial.publish()
    }

    /// As [`commit`](Self::commit), but what is already there stays, unless it is an empty folder.
    /// False where something was.
    pub fn commit_new(mut self) -> io::Result<bool> {
        use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        sync_tree(&self.partial.path)?;
        match fs::rename(&self.partial.path, &self.partial.target) {
            Err(error)
                if matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory) =>
            {
                return Ok(false);
            }
            result => result?,
        }
        self.partial.published = true;
        sync_parent(&self.partial.target)?;
        Ok(true)
    }
}

/// Tells apart two writers of one name within this process.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Owns the hidden path: removed on drop unless published.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Partial {
    fn beside(target: &Path) -> io::Result<Self> {
        let (Some(name), Some(parent)) = (target.file_name(), target.parent()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{}` names no file", target.display()),
            ));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        fs::create_dir_all(parent)?;
        let prefix = prefix(name);
        remove_orphans(parent, |name| name.strip_prefix(&prefix))?;
        Self::in_folder(parent, name)
    }

    fn in_folder(folder: &Path, name: &OsStr) -> io::Result<Self> {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}{}.{turn}", prefix(name), std::process::id()));
        // In a container our process id may be that of the killed writer before us.
        remove(&path)?;
        Ok(Self { path, target: folder.join(name), published: false })
    }

    fn publish(mut self) -> io::Result<()> {
        if self.path.is_dir() {
            replace_folder(&self.path, &self.target)?;
        } else {
            fs::rename(&self.path, &self.target)?;
        }
        self.published = true;
        sync_parent(&self.target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure here, and the next writer tries again.
            drop(remove(&self.path));
        }
    }
}

/// A folder that is not empty cannot be renamed over: it steps aside first. Another writer may be faster at
/// each step; then this one's turn comes again, and the last one's folder stays.
fn replace_folder(new: &Path, target: &Path) -> io::Result<()> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound};
    let old = PathBuf::from(format!("{}.replaced", new.display()));
    loop {
        if !target.is_dir() {
            match fs::rename(new, target) {
                Err(error) if matches!(error.kind(), AlreadyExists | DirectoryNotEmpty) => {}
                result => return result,
            }
        }
        match fs::rename(target, &old) {
            Err(error) if error.kind() == NotFound => continue,
            result => result?,
        }
        match fs::rename(new, target) {
            Ok(()) => return remove(&old),
            Err(error) if matches!(error.kind(), AlreadyExists | DirectoryNotEmpty) => {
                remove(&old)?;
            }
            Err(error) => {
                fs::rename(&old, target)?;
                return Err(error);
            }
        }
    }
}

/// Between a file's name and the id of the process that writes it.
const PARTIAL: &str = ".partial-";

fn prefix(name: &OsStr) -> String {
    format!(".{}{PARTIAL}", name.to_string_lossy())
}

/// Removes what processes that no longer run left behind. A living writer of the same name keeps its own. `owner` is
/// what follows in a name that is looked at.
fn remove_orphans(parent: &Path, owner: impl Fn(&str) -> Option<&str>) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(&owner);
        let pid = owner.and_then(|owner| owner.split('.').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !is_running(pid)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Where processes cannot be looked up, all are taken to run: an orphan is better than a lost file.
pub fn is_running(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

/// It is gone afterwards, whoever removed it.
fn remove(path: &Path) -> io::Result<()> {
    let removed = fs::symlink_metadata(path).and_then(|metadata| {
        if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            sync_tree(&path)?;
        } else if metadata.is_file() {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

/// Whether `name` is that of content not yet (or never) published.
pub fn is_partial(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.contains(PARTIAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_seen_before_commit_and_nothing_is_left_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn an_abandoned_write_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_file(&path, b"old").unwrap();
        AtomicFile::create(&path).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_folder_replaces_a_folder_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        for name in ["first", "second"] {
            let dir = AtomicDir::create(&path).unwrap();
            fs::write(dir.path().join(name), name).unwrap();
            dir.commit().unwrap();
        }
        assert_eq!(names(folder.path()), ["d"]);
        assert_eq!(names(&path), ["second"]);
    }

    #[test]
    fn a_new_folder_takes_the_place_of_nothing_but_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &Path, name: &str| {
            let dir = AtomicDir::create(path).unwrap();
            fs::write(dir.path().join(name), name).unwrap();
            dir.commit_new().unwrap()
        };
        let path = folder.path().join("d");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, "first"));
        assert!(!write(&path, "second"));
        assert_eq!(names(&path), ["first"]);
        let file = folder.path().join("f");
        fs::write(&file, "a file").unwrap();
        assert!(!write(&file, "third"));
        assert_eq!(names(folder.path()), ["d", "f"]);
    }

    #[test]
    fn of_several_writers_of_one_folder_none_fails_and_one_is_seen_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        std::thread::scope(|scope| {
            for writer in ["first", "second", "third"] {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..100 {
                        let dir = AtomicDir::create(path).unwrap();
                        fs::write(dir.path().join("a"), writer).unwrap();
                        fs::write(dir.path().join("b"), writer).unwrap();
                        dir.commit().unwrap();
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), ["d"]);
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(read("a"), read("b"));
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        // Above the kernel's largest process id (2^22), so never a living process.
        fs::write(folder.path().join(".a.partial-4194999"), b"half").unwrap();
        fs::write(folder.path().join(".a.partial-1"), b"being written").unwrap();
        write_file(&folder.path().join("a"), b"whole").unwrap();
        assert_eq!(names(folder.path()), [".a.partial-1", "a"]);
        fs::write(folder.path().join(".b.partial-4194999"), b"half").unwrap();
        let swept = Swept::sweep(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [".a.partial-1", "a"]);
        swept.create(OsStr::new("c")).unwrap().commit().unwrap();
        assert_eq!(names(folder.path()), [".a.partial-1", "a", "c"]);
        assert!(is_partial(OsStr::new(".a.partial-1")) && !is_partial(OsStr::new("a")));
    }
}
