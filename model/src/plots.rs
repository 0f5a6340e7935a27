//! Pictures of a model: how it learned, what it confuses, whether its confidence can be believed, and
//! its worst mistakes; and where two models disagree. SVG without scripts or fonts of its own, so that any browser
//! and any forge shows it.

mod confusion;
mod curves;
mod flips;
mod mistakes;
mod reliability;
mod sheet;
mod tiles;

pub use confusion::confusion;
pub use curves::learning_curves;
pub use flips::flips;
pub use mistakes::{Mistake, mistakes, worst};
pub use reliability::reliability;
pub use sheet::sheet;
