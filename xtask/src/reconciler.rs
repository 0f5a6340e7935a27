//! A reconciler makes an environment run what main pins. This one needs neither Argo CD nor Kubernetes:
//! it renders with the real kustomize, runs the real service from an image layout, and reports in the
//! JSON that the notification templates send.
//!
//! It behaves as Argo CD was measured to: a revision that failed is not tried again, a drift is healed
//! without hooks and so proves nothing, what already runs is not synced, what cannot be built is a
//! report of its own. As in a Deployment, the old process serves until the new one is ready.
//!
//! What it stands in for and does not do: one process per environment instead of replicas, the host's C
//! library instead of a base image, no resource limits, no network policies.

mod application;
mod front;
mod node;
mod source;
mod wanted;

pub(crate) use application::{Application, Notice, Process};
pub(crate) use node::Node;
pub(crate) use source::Source;
