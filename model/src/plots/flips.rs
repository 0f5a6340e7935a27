//! What two models call differently, so that a person can say which of them is right.

use contract::image::Image;
use contract::prediction::Label;
use contract::replay::Flip;

use super::tiles::{self, Tile};

/// `total` is how many there are, of which these are shown.
pub fn flips(names: &[String], flips: &[(Flip, Image)], total: usize) -> String {
    let title = match total {
        0 => "No flips".to_owned(),
        1 => "The one flip".to_owned(),
        _ if flips.len() == total => format!("All {total} flips"),
        _ => format!("{} of {total} flips", flips.len()),
    };
    let name = |label: Label| names.get(label).map_or("?", String::as_str);
    let shown = |(i, (flip, image)): (usize, &(Flip, Image))| {
        let Flip { champion, candidate, .. } = flip;
        let percent = |confidence: f32| 100.0 * confidence;
        Tile {
            image: image.clone(),
            answer: format!("{} → {}", name(champion.label), name(candidate.label)),
            detail: format!(
                "#{} {:.0} → {:.0} %",
                i + 1,
                percent(champion.confidence),
                percent(candidate.confidence)
            ),
        }
    };
    let tiles: Vec<Tile> = flips.iter().enumerate().map(shown).collect();
    let legend = "champion → candidate, number in the list, confidence of both; the surest first";
    tiles::tiles(&title, legend, &tiles)
}
