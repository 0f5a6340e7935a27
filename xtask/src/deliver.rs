//! Commands from artifact to cluster: images, and the manifests that name them. What they decide is
//! in files that the next command reads, never in this process.

pub(crate) mod image;
pub(crate) mod manifests;
