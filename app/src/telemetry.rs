//! What the service tells of itself: [`logs`] to people, [`metrics`] to machines, [`records`] to whoever looks
//! back, [`spans`] to whoever follows a request through many services. None ever holds a pixel or a body, but records those pixels that are sampled.

pub mod drift;
pub mod lines;
pub mod logs;
pub mod metrics;
pub mod records;
pub mod rotating;
pub mod spans;
