//! From labelled images to a trained classifier, and from its artifact to scores.
//!
//! The only package that names libtorch. It refuses to know HTTP, the network and Git: files are handed
//! to it verified, and what it says of its training goes into a folder.

#![expect(
    clippy::cast_possible_wrap,
    reason = "libtorch counts in i64, and no side of a tensor comes near its limit"
)]

pub mod artifact;
pub mod augment;
pub mod bench;
pub mod card;
pub mod checkpoint;
pub mod classifier;
pub mod compress;
pub mod dataset;
pub mod evaluation;
pub mod folders;
pub mod idx;
pub mod net;
pub mod plots;
pub mod probes;
mod random;
pub mod recipe;
pub mod replay;
pub mod robustness;
pub mod run;
pub mod shown;
pub mod synthetic;
pub mod tensors;
pub mod test_set;
pub mod trace;
pub mod training;
