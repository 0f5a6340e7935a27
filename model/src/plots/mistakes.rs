//! The wrong answers given with the most confidence, as pictures: some are the model's fault, some the
//! label's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chart::{Anchor, FAINT, INK, Svg};
use contract::image::Image;
use contract::prediction::{Label, Prediction};
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

use crate::dataset::Split;

#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Position in the test set.
    pub position: usize,
    pub image: Image,
    pub actual: Label,
    pub predicted: Label,
    pub confidence: f32,
}

/// At most `count`, the most confident first.
pub fn worst(split: &Split, predictions: &[Prediction], count: usize) -> Vec<Mistake> {
    let answers = split.labels().iter().zip(predictions).enumerate();
    let mut wrong: Vec<(usize, Label, &Prediction)> = answers
        .filter(|(_, (label, prediction))| **label != prediction.label)
        .map(|(position, (label, prediction))| (position, *label, prediction))
        .collect();
    wrong.sort_by(|a, b| b.2.confidence.total_cmp(&a.2.confidence));
    let size = split.shape().len();
    wrong
        .into_iter()
        .take(count)
        .map(|(position, actual, prediction)| Mistake {
            position,
            image: Image::new(split.shape(), &split.pixels()[position * size..][..size])
                .expect("a chunk of the shape's length"),
            actual,
            predicted: prediction.label,
            confidence: prediction.confidence,
        })
        .collect()
}

const COLUMNS: usize = 9;
const TILE: (f64, f64) = (92.0, 122.0);
const SIDE: f64 = 76.0;

pub fn mistakes(suite: &str, names: &[String], mistakes: &[Mistake], total: usize) -> String {
    let rows = mistakes.len().div_ceil(COLUMNS).max(1) as f64;
    let mut svg = Svg::new(32.0 + COLUMNS as f64 * TILE.0, 62.0 + rows * TILE.1);
    let title = match total {
        0 => format!("No mistakes on {suite}"),
        1 => format!("The one mistake on {suite}"),
        _ if mistakes.len() == total => format!("All {total} mistakes on {suite}"),
        _ => format!("The {} worst of {total} mistakes on {suite}", mistakes.len()),
    };
    svg.title((20.0, 26.0), &title);
    if total > 0 {
        let legend = "actual → predicted, confidence, position in the test set";
        svg.note((20.0, 44.0), Anchor::Start, legend);
    }
    let name = |label: Label| names.get(label).map_or("?", String::as_str);
    for (i, mistake) in mistakes.iter().enumerate() {
        let x = 20.0 + (i % COLUMNS) as f64 * TILE.0;
        let y = 56.0 + (i / COLUMNS) as f64 * TILE.1;
        let shape = mistake.image.shape();
        let scale = SIDE / shape.height.max(shape.width) as f64;
        let size = (shape.width as f64 * scale, shape.height as f64 * scale);
        let place = (x + (SIDE - size.0) / 2.0, y + (SIDE - size.1) / 2.0);
        svg.picture(place, size, &inline_png(&mistake.image));
        let middle = x + SIDE / 2.0;
        let answer = format!("{} → {}", name(mistake.actual), name(mistake.predicted));
        let letters = answer.chars().count() as f64;
        let size = (150.0 / letters).clamp(6.0, 11.0);
        svg.words((middle, y + SIDE + 14.0), Anchor::Middle, size, INK, 0.0, &answer);
        let detail = format!("{:.0} %  #{}", 100.0 * mistake.confidence, mistake.position);
        svg.words((middle, y + SIDE + 28.0), Anchor::Middle, 10.0, FAINT, 0.0, &detail);
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
