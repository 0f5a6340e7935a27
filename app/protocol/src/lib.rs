//! HTTP bodies on one side, the values of [`contract`] on the other.
//!
//! It refuses to know libtorch, sockets, the web framework and which model is loaded: bytes come in,
//! pictures or a [`problem::Problem`] come out, so it tests and fuzzes in seconds.
//!
//! [`content`] tells the kinds of body apart, [`json`] and [`multipart`] find the picture in a body, [`picture`] makes an image of the task's
//! shape from it, [`answer`] is what is said of it, [`problem`] every way to refuse, [`trace`] what a request
//! belongs to. [`v2`] is the same for clients that speak of tensors.
//! A [`receipt`] goes out with an answer and comes back with [`feedback`].

pub mod answer;
pub mod content;
pub mod feedback;
pub mod json;
pub mod multipart;
pub mod picture;
pub mod problem;
pub mod receipt;
pub mod trace;
pub mod v2;
