//! The wrong answers given with the most confidence, as pictures: some are the model's fault, some the
//! label's.

use contract::image::Image;
use contract::prediction::{Label, Prediction};

use super::tiles::{self, Tile};
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

pub fn mistakes(suite: &str, names: &[String], mistakes: &[Mistake], total: usize) -> String {
    let title = match total {
        0 => format!("No mistakes on {suite}"),
        1 => format!("The one mistake on {suite}"),
        _ if mistakes.len() == total => format!("All {total} mistakes on {suite}"),
        _ => format!("The {} worst of {total} mistakes on {suite}", mistakes.len()),
    };
    let name = |label: Label| names.get(label).map_or("?", String::as_str);
    let shown = |mistake: &Mistake| Tile {
        image: mistake.image.clone(),
        answer: format!("{} → {}", name(mistake.actual), name(mistake.predicted)),
        detail: format!("{:.0} %  #{}", 100.0 * mistake.confidence, mistake.position),
    };
    let tiles: Vec<Tile> = mistakes.iter().map(shown).collect();
    let legend = "actual → predicted, confidence, position in the test set";
    tiles::tiles(&title, legend, &tiles)
}
