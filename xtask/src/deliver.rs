//! Commands from artifact to cluster: images, and the manifests that name them. What they decide is
//! in files that the next command reads, never in this process.

mod assembly;
pub(crate) mod audit;
pub(crate) mod content;
pub(crate) mod diff;
pub(crate) mod ending;
pub(crate) mod gate;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod image;
pub(crate) mod manifests;
pub(crate) mod models;
pub(crate) mod program;
pub(crate) mod promote;
pub(crate) mod release;
pub(crate) mod remote;
pub(crate) mod rollback;
mod sbom;
mod scan;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod tools_image;
pub(crate) mod watch;
