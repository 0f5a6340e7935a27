//! Commands for people who work on this repository.

pub(crate) mod bench;
pub(crate) mod by_hand;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod leftovers;
pub(crate) mod requirement;
pub(crate) mod setup;
pub(crate) mod suite;
pub(crate) mod test;
