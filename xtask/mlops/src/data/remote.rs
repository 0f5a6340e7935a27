//! A place that contents are sent to and fetched from: a folder, S3, HTTP(S); Google's and Azure's stores by the same
//! crate, which nobody has run here. Credentials come from the environment or from DVC's own settings.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use contract::causes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};

use super::cache::Cache;
use super::config::Settings;
use super::hinted;
use super::object::{Hashing, Object};

mod stores;

/// From here on in several parts, where the store has them.
const WHOLE: u64 = 8 << 20;
const PART: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
/// Of a request that failed for reasons that may pass.
const RETRIES: usize = 4;
const RETRY_TIME: Duration = Duration::from_mins(1);

/// So many failures in a row, each after its retries, are the remote's.
const HOPELESS: usize = 64;

pub(super) struct Remote {
    pub(super) name: String,
    store: Arc<dyn ObjectStore>,
    /// What its objects lie below.
    prefix: object_store::path::Path,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Http,
    Cloud,
}

async fn parts(from: &mut fs_err::File, to: &mut WriteMultipart) -> anyhow::Result<()> {
    let mut buffer = vec![0; PART];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        to.wait_for_capacity(PARTS_AT_ONCE).await?;
        to.write(&buffer[..read]);
    }
}

impl Remote {
    /// `folder` is `.dvc`, which relative places are relative to. Only one to write to makes a folder.
    pub(super) fn open(
        settings: &Settings<'_>,
        folder: &Path,
        write: bool,
    ) -> anyhow::Result<Self> {
        let opened = stores::open(settings, folder, write);
        opened.with_context(|| format!("the remote `{}`", settings.name))
    }

    fn path(&self, object: Object) -> object_store::path::Path {
        let (first, rest) = object.place();
        self.objects().join(first).join(rest)
    }

    fn objects(&self) -> object_store::path::Path {
        self.prefix.clone().join("files").join("md5")
    }

    /// Bytes of it there; nothing where it is not.
    pub(super) async fn size(&self, object: Object) -> anyhow::Result<Option<u64>> {
        match self.store.head(&self.path(object)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("asking for", object, &error)),
        }
    }

    /// Brings it into the cache, if it is what its name says.
    pub(super) async fn fetch(&self, object: Object, cache: &Cache) -> anyhow::Result<()> {
        let mut incoming = Hashing::new(cache.incoming(object)?);
        self.read(object, &mut |bytes| {
            incoming.write_all(bytes).map_err(|error| cache.unwritable(&error))
        })
        .await?;
        let (md5, bytes) = (incoming.md5(), incoming.bytes());
        let kept = cache.keep(incoming.into_inner(), md5, object)?;
        if kept { Ok(()) } else { Err(self.wrong(object, bytes)) }
    }

    /// Reads it without keeping it.
    pub(super) async fn verify(&self, object: Object) -> anyhow::Result<()> {
        let mut hashing = Hashing::new(std::io::sink());
        self.read(object, &mut |bytes| Ok(hashing.write_all(bytes)?)).await?;
        if hashing.md5() == object.md5 { Ok(()) } else { Err(self.wrong(object, hashing.bytes())) }
    }

    async fn read(
        &self,
        object: Object,
        to: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let failed = |error: Error| self.failed("fetching", object, &error);
        let mut body = self.store.get(&self.path(object)).await.map_err(failed)?.into_stream();
        while let Some(bytes) = body.try_next().await.map_err(failed)? {
            to(&bytes)?;
        }
        Ok(())
    }

    /// It is seen there whole or not at all, as far as the store keeps to that. HTTP gets a file in one piece, so it
    /// passes through memory.
    pub(super) async fn send(&self, object: Object, file: &Path, size: u64) -> anyhow::Result<()> {
        let failed = |error: Error| self.failed("sending", object, &error);
        if size < WHOLE || self.kind == Kind::Http {
            let content = fs_err::read(file)?;
            self.store.put(&self.path(object), PutPayload::from(content)).await.map_err(failed)?;
            return Ok(());
        }
        let mut from = fs_err::File::open(file)?;
        let upload = self.store.put_multipart(&self.path(object)).await.map_err(failed)?;
        let mut to = WriteMultipart::new_with_chunk_size(upload, PART);
        match parts(&mut from, &mut to).await {
            Ok(()) => Ok(to.finish().await.map(drop).map_err(failed)?),
            Err(error) => {
                // Parts that nobody completes are kept, and paid for. What went wrong is what is told.
                drop(to.abort().await);
                Err(error.downcast::<Error>().map_or_else(|other| other, failed))
            }
        }
    }

    /// Every object that is there.
    pub(super) async fn list(&self) -> anyhow::Result<Vec<Object>> {
        if self.kind == Kind::Http {
            return Err(hinted(
                format_args!(
                    "`{}` cannot be asked for all that it holds: HTTP has no list",
                    self.name
                ),
                "clean it up where its files are",
            ));
        }
        let prefix = self.objects();
        let found: Vec<_> =
            self.store.list(Some(&prefix)).try_collect().await.map_err(|error| {
                hinted(format_args!("listing `{}`: {}", self.name, told(&error)), self.hint(&error))
            })?;
        let mut objects: Vec<Object> = found
            .iter()
            .filter_map(|meta| {
                let mut parts = meta.location.prefix_match(&prefix)?;
                let (first, rest) = (parts.next()?, parts.next()?);
                Object::at(first.as_ref(), rest.as_ref())
            })
            .collect();
        objects.sort();
        Ok(objects)
    }

    pub(super) async fn remove(&self, object: Object) -> anyhow::Result<()> {
        let removed = self.store.delete(&self.path(object)).await;
        removed.map_err(|error| self.failed("removing", object, &error))
    }

    fn wrong(&self, object: Object, bytes: u64) -> anyhow::Error {
        hinted(
            format_args!(
                "`{object}` on `{}` is not what its name says: {bytes} bytes of something else",
                self.name
            ),
            "remove it there, and push it again from where it is whole",
        )
    }

    fn failed(&self, doing: &str, object: Object, error: &Error) -> anyhow::Error {
        if matches!(error, Error::NotFound { .. }) {
            return hinted(
                format_args!("`{object}` is not on `{}`", self.name),
                "push it from where it is: `cargo xtask data push`",
            );
        }
        hinted(
            format_args!("{doing} `{object}` on `{}`: {}", self.name, told(error)),
            self.hint(error),
        )
    }

    fn hint(&self, error: &Error) -> &'static str {
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                "the credentials are wrong or may not do this: see AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or .dvc/config.local"
            }
            _ if has_no_space(error) => "free some space there; what arrived already is kept",
            _ if self.kind == Kind::Folder => "look whether the folder is there and may be written",
            _ => "look whether it answers; what arrived already is kept, so run it again",
        }
    }
}

/// With its causes: the client says which request failed, and they say why.
fn told(error: &Error) -> String {
    causes::sentence(anyhow::Chain::new(error))
}

fn has_no_space(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Every object in turn, several at once; all that went wrong, the rest is done. Where nothing goes well any more,
/// nothing more is begun.
pub(super) async fn each<W: Future<Output = anyhow::Result<bool>>>(
    objects: impl IntoIterator<Item = Object>,
    jobs: usize,
    work: impl Fn(Object) -> W,
) -> (Vec<Object>, Vec<(Object, anyhow::Error)>) {
    let results = objects.into_iter().map(|object| {
        let work = work(object);
        async move { (object, work.await) }
    });
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let mut results = futures_util::stream::iter(results).buffer_unordered(jobs);
    let mut in_a_row = 0;
    while let Some((object, result)) = results.next().await {
        in_a_row = if result.is_ok() { 0 } else { in_a_row + 1 };
        match result {
            Ok(true) => done.push(object),
            Ok(false) => {}
            Err(error) => failed.push((object, error)),
        }
        if in_a_row == HOPELESS {
            break;
        }
    }
    (done, failed)
}

/// A place where a file can be made that nobody else has made: its store, and what its files are below.
pub(crate) fn shared(
    url: &str,
) -> anyhow::Result<(Arc<dyn ObjectStore>, object_store::path::Path)> {
    if url.is_empty() {
        return Err(hinted("it has no name", "name a folder, or leave it out"));
    }
    if url.starts_with("http://") || url.starts_with("https://") {
        return Err(hinted(
            "over HTTP nobody can be the first to make a file",
            "a folder, s3://, gs:// and azure:// can be shared",
        ));
    }
    let values = [("url".to_owned(), url.to_owned())].into();
    let settings = Settings { name: url.to_owned(), values: &values };
    let (store, prefix, _) = stores::store(&settings, Path::new(""), true)?;
    Ok((store, prefix.into()))
}

/// The first of several failures, and how many there are.
pub(super) fn all_well(mut failed: Vec<(Object, anyhow::Error)>) -> anyhow::Result<()> {
    failed.sort_by_key(|(object, _)| *object);
    let others = failed.len().saturating_sub(1);
    match failed.into_iter().next() {
        None => Ok(()),
        Some((_, error)) if others == 0 => Err(error),
        Some((_, error)) => {
            Err(error
                .context(format!("{} failed, among them", super::counted(others + 1, "object"))))
        }
    }
}

/// Where a folder is named by a relative path.
fn absolute(folder: &Path, place: &str) -> PathBuf {
    folder.join(place.strip_prefix("file://").unwrap_or(place))
}
