//! What is delivered: manifests as a cluster gets them, and the image that they name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "delivery/image.rs"]
mod image;
#[path = "delivery/manifests.rs"]
mod manifests;
