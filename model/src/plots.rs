//! Pictures of a model: how it learned, what it confuses, whether its confidence can be believed, and
//! its worst mistakes. SVG without scripts or fonts of its own, so that any browser and any forge shows it.

mod confusion;
mod curves;
mod mistakes;
mod reliability;
mod sheet;
mod svg;

pub use confusion::confusion;
pub use curves::learning_curves;
pub use mistakes::{Mistake, mistakes, worst};
pub use reliability::reliability;
pub use sheet::sheet;

const BLUE: &str = "#2f6db3";
const ORANGE: &str = "#d8662c";
const INK: &str = "#333333";
const FAINT: &str = "#8a8a8a";
const GRID: &str = "#e3e3e3";
