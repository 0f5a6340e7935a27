//! What the service tells of itself: [`logs`] to people, [`metrics`] to machines. Neither ever holds a
//! pixel or a body.

pub mod drift;
pub mod logs;
pub mod metrics;
