//! Commands that run the product.

pub(crate) mod demo;
pub(crate) mod serve;
