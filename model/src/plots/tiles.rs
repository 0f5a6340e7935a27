//! Pictures side by side, each with what was said of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chart::{Anchor, FAINT, INK, Svg};
use contract::image::Image;
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

pub(super) struct Tile {
    pub(super) image: Image,
    pub(super) answer: String,
    pub(super) detail: String,
}

const COLUMNS: usize = 9;
const TILE: (f64, f64) = (92.0, 122.0);
const SIDE: f64 = 76.0;

/// The legend says how to read a tile.
pub(super) fn tiles(title: &str, legend: &str, tiles: &[Tile]) -> String {
    let rows = tiles.len().div_ceil(COLUMNS).max(1) as f64;
    let mut svg = Svg::new(32.0 + COLUMNS as f64 * TILE.0, 62.0 + rows * TILE.1);
    svg.title((20.0, 26.0), title);
    if !tiles.is_empty() {
        svg.note((20.0, 44.0), Anchor::Start, legend);
    }
    for (i, Tile { image, answer, detail }) in tiles.iter().enumerate() {
        let x = 20.0 + (i % COLUMNS) as f64 * TILE.0;
        let y = 56.0 + (i / COLUMNS) as f64 * TILE.1;
        let shape = image.shape();
        let scale = SIDE / shape.height.max(shape.width) as f64;
        let size = (shape.width as f64 * scale, shape.height as f64 * scale);
        let place = (x + (SIDE - size.0) / 2.0, y + (SIDE - size.1) / 2.0);
        svg.picture(place, size, &inline_png(image));
        let middle = x + SIDE / 2.0;
        let letters = answer.chars().count() as f64;
        let size = (150.0 / letters).clamp(6.0, 11.0);
        svg.words((middle, y + SIDE + 14.0), Anchor::Middle, size, INK, 0.0, answer);
        svg.words((middle, y + SIDE + 28.0), Anchor::Middle, 10.0, FAINT, 0.0, detail);
    }
    svg.finish()
}

/// As base64.
#[expect(clippy::cast_possible_truncation, reason = "a task's sides are at most 512")]
pub(super) fn inline_png(image: &Image) -> String {
    let shape = image.shape();
    let colour = if shape.channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(image.pixels(), shape.width as u32, shape.height as u32, colour)
        .expect("pixels of the picture's size, written to memory");
    STANDARD.encode(png)
}
