//! External programs, one module each: their arguments, and what their answers mean.

pub(crate) mod cargo;
pub(crate) mod git;
pub(crate) mod pip;
