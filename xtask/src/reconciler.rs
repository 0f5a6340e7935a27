//! A reconciler makes an environment run what main pins. This one needs neither Argo CD nor Kubernetes:
//! it renders with the real kustomize, runs the real service from an image layout, and reports in the
//! JSON that the notification templates send.
//!
//! It behaves as Argo CD was measured to: a revision that failed is not tried again, what already runs is
//! not synced, what cannot be built is a report of its own that names no commit, and hooks run in a sync
//! and at no other time. As in a Deployment, the old process serves until the new one is ready, and a
//! process that ends is started again.
//!
//! What it stands in for and does not do: one process per environment instead of replicas; the host's C
//! library instead of a base image; no limits, policies, user or read-only root; of the probes only
//! readiness, at `/readyz`; of the smoke Job its arguments, probes, exit codes and number of tries, run by
//! the service's own image; nothing but the Deployment's process is healed. Reports go to whoever listens
//! in the same program, once.

mod application;
mod front;
mod node;
mod source;
mod wanted;

pub(crate) use application::{Application, Notice, Process};
pub(crate) use node::Node;
pub(crate) use source::Source;
