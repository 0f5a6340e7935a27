//! Values and formats that two processes must agree on.
//!
//! The trainer, the service, `xtask` and the tests all depend on this crate and on nothing of each
//! other's. It refuses to know libtorch, HTTP, the network and the clock.
//!
//! [`task`] says what is classified, [`image`] is the only picture type inside the house,
//! [`prediction`] what comes out, [`manifest`] and [`artifact`] how a trained model travels.

pub mod artifact;
pub mod atomic;
pub mod baseline;
pub mod causes;
pub mod digest;
pub mod drift;
pub mod evaluation;
pub mod features;
pub mod image;
pub mod manifest;
pub mod mcnemar;
pub mod prediction;
pub mod probes;
pub mod record;
pub mod replay;
pub mod robustness;
pub mod run;
pub mod task;
