//! `data pull`: what pointers name is fetched where the cache lacks it, and put in its place. Every object is hashed
//! as it comes; what came stays, so a pull that was interrupted goes on where it was.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::cache::Cache;
use super::checkout::{checkout, tree};
use super::object::Object;
use super::push::Transfer;
use super::remote::{Remote, all_well, each};
use super::workspace::Workspace;
use super::{block_on, counted, step, told};

/// Fetch what pointers name, verified, and put it in its place
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pointers, or the data they point to [default: all]
    #[arg(value_name = "PATH")]
    targets: Vec<PathBuf>,
    /// Overwrite files that were changed and are in no cache
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    transfer: Transfer,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::open()?;
        let outs = workspace.outs(&self.targets)?;
        let named: BTreeSet<Object> = outs.iter().map(|out| out.object).collect();
        let cache = &workspace.cache;
        let mut remote = None;
        let mut fetched = 0;
        // What is all here needs no remote.
        let mut bring = |objects: BTreeSet<Object>| -> anyhow::Result<()> {
            let mut lacking = BTreeSet::new();
            for object in objects {
                if cache.size(object)?.is_none() {
                    lacking.insert(object);
                }
            }
            if lacking.is_empty() {
                return Ok(());
            }
            let name = self.transfer.remote.as_deref();
            let remote = match &mut remote {
                Some(remote) => remote,
                empty => empty.insert(workspace.remote(name, false)?),
            };
            step(format_args!(
                "fetching {} from `{}`",
                counted(lacking.len(), "object"),
                remote.name
            ));
            fetched += block_on(fetch(remote, cache, lacking, self.transfer.jobs))?;
            Ok(())
        };
        let (folders, mut files): (BTreeSet<Object>, BTreeSet<Object>) =
            named.into_iter().partition(|object| object.is_folder);
        bring(folders.clone())?;
        for folder in folders {
            files.extend(tree(cache, folder)?.files());
        }
        bring(files)?;
        for out in &outs {
            let done = checkout(&workspace, out, self.force)?;
            let path = workspace.shown(&out.path);
            told(format_args!("{path}: {} written, {} removed", done.written, done.removed))?;
        }
        told(format_args!("{} fetched", counted(fetched, "object")))
    }
}

async fn fetch(
    remote: &Remote,
    cache: &Cache,
    objects: BTreeSet<Object>,
    jobs: usize,
) -> anyhow::Result<usize> {
    let fetch = |object| async move { remote.fetch(object, cache).await.map(|()| true) };
    let (fetched, failed) = each(objects, jobs, fetch).await;
    all_well(failed)?;
    Ok(fetched.len())
}
