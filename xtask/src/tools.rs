//! External programs, one module each: their arguments, and what their answers mean.

pub(crate) mod cargo;
pub(crate) mod cargo_deny;
pub(crate) mod cargo_fuzz;
pub(crate) mod collector;
pub(crate) mod cosign;
pub(crate) mod engine;
pub(crate) mod git;
pub(crate) mod kubeconform;
pub(crate) mod kubectl;
pub(crate) mod kustomize;
pub(crate) mod oci;
pub(crate) mod pinned;
pub(crate) mod pip;
pub(crate) mod registry;
pub(crate) mod syft;
