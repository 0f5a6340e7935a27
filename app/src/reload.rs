//! [`Reloaded`]: a value made of files, and made anew when they change. Files that cannot be used leave
//! the value as it was, an error in the log, and a gauge that says so until they can be.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus::IntGauge;

/// Files are looked at so often; nothing in the system tells of a change on every kind of volume.
const PAUSE: Duration = Duration::from_secs(1);

/// More than any list of keys or chain of certificates.
const LARGEST: u64 = 4 << 20;

/// What the files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    ApiKeys,
    TokenKeys,
    Certificate,
    FeedbackKeys,
}

impl Source {
    pub const ALL: [Self; 4] =
        [Self::ApiKeys, Self::TokenKeys, Self::Certificate, Self::FeedbackKeys];

    /// Stable: alerts match on it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKeys => "api_keys",
            Self::TokenKeys => "token_keys",
            Self::Certificate => "certificate",
            Self::FeedbackKeys => "feedback_keys",
        }
    }
}

type Contents<const N: usize> = Result<[Vec<u8>; N], String>;

pub struct Reloaded<T, const N: usize> {
    source: Source,
    files: [PathBuf; N],
    make: fn(&[Vec<u8>; N]) -> Result<T, String>,
    first: [Vec<u8>; N],
    value: RwLock<Arc<T>>,
}

impl<T, const N: usize> fmt::Debug for Reloaded<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.source.as_str(), self.files)
    }
}

impl<T: Send + Sync + 'static, const N: usize> Reloaded<T, N> {
    /// An error where the files cannot be read or used.
    pub fn open(
        source: Source,
        files: [&Path; N],
        make: fn(&[Vec<u8>; N]) -> Result<T, String>,
    ) -> Result<Arc<Self>, String> {
        let files = files.map(Path::to_path_buf);
        let first = read(&files)?;
        let value = RwLock::new(Arc::new(make(&first)?));
        Ok(Arc::new(Self { source, files, make, first, value }))
    }

    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Never ends. `succeeded` is 1 while the value is of what the files hold, and 0 while it is an older one.
    pub async fn follow(self: Arc<Self>, succeeded: IntGauge) {
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
                succeeded.set(self.judge(&judged).into());
            }
        }
    }

    fn judge(&self, contents: &Contents<N>) -> bool {
        let what = self.source.as_str();
        match contents.as_ref().map_err(Clone::clone).and_then(self.make) {
            Ok(value) => {
                *self.value.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                tracing::info!(what, "reloaded");
                true
            }
            Err(error) => {
                tracing::error!(what, error, "not reloaded: the old ones stay");
                false
            }
        }
    }
}

fn read<const N: usize>(files: &[PathBuf; N]) -> Contents<N> {
    let mut contents = [const { Vec::new() }; N];
    for (file, bytes) in files.iter().zip(&mut contents) {
        // To open a pipe waits for whoever writes to it.
        let metadata = fs_err::metadata(file).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err(format!("`{}` is no file", file.display()));
        }
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
        let value = Reloaded::open(Source::ApiKeys, [&file], number).unwrap();
        let succeeded = IntGauge::new("succeeded", "succeeded").unwrap();
        let follower = tokio::spawn(Arc::clone(&value).follow(succeeded.clone()));
        let check = async |change: &dyn Fn(), expected: u32, success: i64| {
            change();
            tokio::time::sleep(4 * PAUSE).await;
            assert_eq!((*value.get(), succeeded.get()), (expected, success));
        };
        let write = |text: &'static str| fs_err::write(&file, text).unwrap();
        let remove = || fs_err::remove_file(&file).unwrap();
        check(&|| write("2"), 2, 1).await;
        check(&|| write("two"), 2, 0).await;
        check(&|| write("3"), 3, 1).await;
        check(&remove, 3, 0).await;
        check(&|| write("4"), 4, 1).await;
        follower.abort();
    }

    #[test]
    fn a_file_that_cannot_be_used_from_the_start_is_a_mistake() {
        let missing = Path::new("no/such/file");
        assert!(
            Reloaded::open(Source::ApiKeys, [missing], number)
                .unwrap_err()
                .contains("no/such/file")
        );
    }
}
