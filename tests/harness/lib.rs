//! What every end-to-end test stands on: paths of the built binaries, processes that end with their
//! test, plain HTTP. It links neither the service nor the model: tests see what users see.

pub mod process;
pub mod repo;
