//! [`Reloaded`]: a value made of files, and made anew when they change. Files that cannot be used leave
//! the value as it was, and an error in the log.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Files are looked at so often; nothing in the system tells of a change on every kind of volume.
const PAUSE: Duration = Duration::from_secs(1);

/// More than any list of keys or chain of certificates.
const LARGEST: u64 = 4 << 20;

type Contents<const N: usize> = Result<[Vec<u8>; N], String>;

pub struct Reloaded<T, const N: usize> {
    what: &'static str,
    files: [PathBuf; N],
    make: fn(&[Vec<u8>; N]) -> Result<T, String>,
    first: [Vec<u8>; N],
    value: RwLock<Arc<T>>,
}

impl<T, const N: usize> fmt::Debug for Reloaded<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.what, self.files)
    }
}

impl<T: Send + Sync + 'static, const N: usize> Reloaded<T, N> {
    /// An error where the files cannot be read or used.
    pub fn open(
        what: &'static str,
        files: [&Path; N],
        make: fn(&[Vec<u8>; N]) -> Result<T, String>,
    ) -> Result<Arc<Self>, String> {
        let files = files.map(Path::to_path_buf);
        let first = read(&files)?;
        let value = RwLock::new(Arc::new(make(&first)?));
        Ok(Arc::new(Self { what, files, make, first, value }))
    }

    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Never ends.
    pub async fn follow(self: Arc<Self>) {
        let mut judged: Contents<N> = Ok(self.first.clone());
        let mut before = judged.clone();
        loop {
            tokio::time::sleep(PAUSE).await;
            let this = Arc::clone(&self);
            let reading = tokio::task::spawn_blocking(move || read(&this.files)).await;
            let now = reading.unwrap_or_else(|error| Err(error.to_string()));
            // Twice the same: nobody is in the middle of writing one file, or several that belong together.
            let is_settled = now == before;
            before = now;
            if is_settled && before != judged {
                judged.clone_from(&before);
                self.judge(&judged);
            }
        }
    }

    fn judge(&self, contents: &Contents<N>) {
        match contents.as_ref().map_err(Clone::clone).and_then(self.make) {
            Ok(value) => {
                *self.value.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                tracing::info!(what = self.what, "reloaded");
            }
            Err(error) => {
                tracing::error!(what = self.what, error, "not reloaded: the old ones stay");
            }
        }
    }
}

fn read<const N: usize>(files: &[PathBuf; N]) -> Contents<N> {
    let mut contents = [const { Vec::new() }; N];
    for (file, bytes) in files.iter().zip(&mut contents) {
        let opened = fs_err::File::open(file).map_err(|error| error.to_string())?;
        opened.take(LARGEST + 1).read_to_end(bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("`{}` is larger than {LARGEST} bytes", file.display()));
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(contents: &[Vec<u8>; 1]) -> Result<u32, String> {
        let text = String::from_utf8_lossy(&contents[0]);
        text.trim().parse().map_err(|_error| "not a number".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_used_leaves_what_was_and_the_next_good_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        fs_err::write(&file, "1").unwrap();
        let value = Reloaded::open("number", [&file], number).unwrap();
        let follower = tokio::spawn(Arc::clone(&value).follow());
        let check = async |change: &dyn Fn(), expected: u32| {
            change();
            tokio::time::sleep(4 * PAUSE).await;
            assert_eq!(*value.get(), expected);
        };
        let write = |text: &'static str| fs_err::write(&file, text).unwrap();
        check(&|| write("2"), 2).await;
        check(&|| write("two"), 2).await;
        check(&|| write("3"), 3).await;
        check(&|| fs_err::remove_file(&file).unwrap(), 3).await;
        check(&|| write("4"), 4).await;
        follower.abort();
    }

    #[test]
    fn a_file_that_cannot_be_used_from_the_start_is_a_mistake() {
        let missing = Path::new("no/such/file");
        assert!(Reloaded::open("number", [missing], number).unwrap_err().contains("no/such/file"));
    }
}
