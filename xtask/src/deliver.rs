//! Commands from artifact to cluster: images, and the manifests that name them. What they decide is
//! in files that the next command reads, never in this process.

pub(crate) mod audit;
pub(crate) mod diff;
mod ending;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod image;
pub(crate) mod manifests;
pub(crate) mod promote;
mod remote;
pub(crate) mod rollback;
pub(crate) mod status;
