//! The service: pictures over HTTP, classified by one verified artifact.
//!
//! It refuses to know how models are trained, what the pictures show and that there is a cluster around
//! it. Of `model` it imports the classifier only, and the engine not even that.
//!
//! [`serve`] is the story; [`api`] the interface, each request in its [`envelope`]; [`engine`] the
//! thread that computes; [`access`] decides who may call; [`telemetry`] what is told of it all. [`smoke`] is the other side of the wire.

pub mod access;
pub mod answer;
pub mod api;
pub mod cli;
pub mod config;
pub mod connections;
pub mod engine;
pub mod envelope;
pub mod healthcheck;
pub mod identity;
pub mod key;
pub mod lifecycle;
mod outgoing;
pub mod reload;
pub mod serve;
pub mod service;
pub mod smoke;
pub mod telemetry;
pub mod unread;
