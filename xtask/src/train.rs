//! Commands from data to artifact.

pub(crate) mod compress;
pub(crate) mod data;
pub(crate) mod probes;
pub(crate) mod training;
