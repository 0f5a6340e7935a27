//! Labelled pictures side by side, to be looked at before they decide anything.

use chart::{Anchor, Svg};
use contract::image::Image;
use contract::prediction::Label;

use super::tiles::inline_png;

const COLUMNS: usize = 14;
const TILE: (f64, f64) = (68.0, 82.0);
const SIDE: f64 = 60.0;

pub fn sheet(names: &[String], pictures: &[(Label, Image)]) -> String {
    let rows = pictures.len().div_ceil(COLUMNS).max(1) as f64;
    let mut svg = Svg::new(16.0 + COLUMNS as f64 * TILE.0, 16.0 + rows * TILE.1);
    for (i, (label, image)) in pictures.iter().enumerate() {
        let x = 12.0 + (i % COLUMNS) as f64 * TILE.0;
        let y = 12.0 + (i / COLUMNS) as f64 * TILE.1;
        svg.picture((x, y), (SIDE, SIDE), &inline_png(image));
        let name = names.get(*label).map_or("?", String::as_str);
        svg.note((x + SIDE / 2.0, y + SIDE + 13.0), Anchor::Middle, name);
    }
    svg.finish()
}
