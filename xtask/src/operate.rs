//! Commands that run the product.

pub(crate) mod serve;
