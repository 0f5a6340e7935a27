//! The delivery loop as values: what runs where, what happened, and what is to be done about it.
//!
//! It refuses to know files, processes, the network and the clock: history comes in as plain data, a
//! decision goes out as a [`plan::Plan`], and time is what an event or a commit says. So it can only
//! say yes or no, and a hundred thousand histories of it fit into a test.
//!
//! [`environment`], [`image_reference`], [`pin`] say what is pinned; [`snapshot`], [`history`],
//! [`change`], [`holds`], [`signing`], [`trailers`] what happened and what is demanded; [`event`], [`verdict`] what is reported;
//! [`decide`], [`guards`], [`plan`], [`admit`] what to do; [`mainline`] how it becomes true.

pub mod admit;
pub mod change;
pub mod decide;
pub mod environment;
pub mod event;
pub mod guards;
pub mod history;
pub mod holds;
pub mod image_reference;
pub mod mainline;
pub mod object_id;
pub mod page;
pub mod pin;
pub mod plan;
pub mod signing;
pub mod snapshot;
pub mod trailers;
pub mod verdict;

#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
