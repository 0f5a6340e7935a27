//! `data push`: what pointers name goes to a remote. A folder's manifest goes after all that it names, so that whoever
//! sees it there finds everything; DVC, too, takes a manifest for the whole.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::cache::{Cache, State};
use super::checkout::tree;
use super::object::Object;
use super::remote::{Remote, all_well, each};
use super::workspace::Workspace;
use super::{block_on, counted, hinted, step, told};

/// Send versioned contents to a remote: what it lacks, or has cut off
///
/// A remote is described in .dvc/config, as DVC reads it: `url` is a folder, `s3://BUCKET/PREFIX` (with `endpointurl`,
/// `region`), `https://…` (with `method = PUT`; `auth`, `user`, `password`), `gs://…` or `azure://…` (both not run here).
/// Secrets belong into .dvc/config.local, which Git ignores, or into the variables that the cloud's own tools read.
/// A user's or a system's settings of DVC are not read.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pointers, or the data they point to [default: all]
    #[arg(value_name = "PATH")]
    targets: Vec<PathBuf>,
    #[command(flatten)]
    transfer: Transfer,
}

#[derive(clap::Args)]
pub(super) struct Transfer {
    /// Which remote of .dvc/config [default: the one that [core] names]
    #[arg(long, short, value_name = "NAME")]
    pub(super) remote: Option<String>,
    /// Objects under way at once
    #[arg(long, short, default_value_t = 16, value_name = "N", value_parser = jobs)]
    pub(super) jobs: usize,
}

fn jobs(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|jobs| (1..=1024).contains(jobs)).ok_or("not in 1..=1024".to_owned())
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::open()?;
        let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
        for out in workspace.outs(&self.targets)? {
            if out.object.is_folder {
                files.extend(tree(&workspace.cache, out.object)?.files());
                folders.insert(out.object);
            } else {
                files.insert(out.object);
            }
        }
        let remote = workspace.remote(self.transfer.remote.as_deref(), true)?;
        let all = files.len() + folders.len();
        step(format_args!("pushing what `{}` lacks of {}", remote.name, counted(all, "object")));
        let sent = block_on(async {
            let sent = send(&remote, &workspace.cache, files, self.transfer.jobs).await?;
            Ok(sent + send(&remote, &workspace.cache, folders, self.transfer.jobs).await?)
        })?;
        told(format_args!("{} pushed to `{}`, {} there already", sent, remote.name, all - sent))
    }
}

/// How many were not there. All are there in the end, or it is an error.
async fn send(
    remote: &Remote,
    cache: &Cache,
    objects: BTreeSet<Object>,
    jobs: usize,
) -> anyhow::Result<usize> {
    let one = |object| async move {
        let there = remote.size(object).await?;
        let Some(size) = cache.size(object)? else {
            // Another machine's, pushed from there.
            return if there.is_some() { Ok(false) } else { Err(missing(object)) };
        };
        if there == Some(size) {
            return Ok(false);
        }
        if cache.state(object)? != State::Whole {
            return Err(cache.corrupt(object));
        }
        remote.send(object, &cache.path(object), size).await.map(|()| true)
    };
    let (sent, failed) = each(objects, jobs, one).await;
    all_well(failed)?;
    Ok(sent.len())
}

fn missing(object: Object) -> anyhow::Error {
    hinted(
        format_args!("`{object}` is neither in the cache nor on the remote"),
        "`cargo xtask data add` takes it from the data, `data pull` from another remote",
    )
}
