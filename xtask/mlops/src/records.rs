//! What every reader of a service's records takes from them alike.

use jiff::SignedDuration;
use serde::Deserialize;

/// Of [`contract::record::Input`] what is measured; the digest is passed over unread.
#[derive(Deserialize)]
pub(crate) struct Input {
    pub(crate) ink: f32,
    pub(crate) bbox: f32,
    pub(crate) entropy: f32,
}

/// Clocks of two machines differ by less.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(5);
