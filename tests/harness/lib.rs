//! What every end-to-end test stands on: paths of the built binaries, processes that end with their
//! test, plain HTTP, a model trained once. It links neither the service nor the trainer: tests see
//! what users see.

pub mod artifact;
pub mod browser;
pub mod data;
pub mod http;
pub mod leftovers;
pub mod model;
pub mod process;
pub mod registry;
pub mod repo;
pub mod served;
pub mod server;
