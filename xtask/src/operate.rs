//! Commands that run the product.

pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod drill;
mod rehearsal;
pub(crate) mod serve;
pub(crate) mod visit;
pub(crate) mod visitor;
