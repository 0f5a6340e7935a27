//! What is delivered: manifests as a cluster gets them, and the image that they name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "delivery/adoption.rs"]
mod adoption;
#[path = "delivery/doctor.rs"]
mod doctor;
#[path = "delivery/gitops_image.rs"]
mod gitops_image;
#[path = "delivery/image.rs"]
mod image;
#[path = "delivery/manifests.rs"]
mod manifests;
#[path = "delivery/released_image.rs"]
mod released_image;
#[path = "delivery/scan.rs"]
mod scan;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;
#[path = "delivery/signing.rs"]
mod signing;
