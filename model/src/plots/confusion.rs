//! Which classes are taken for which: what is right in blue, mistakes in orange, the darker the more.

use chart::{Anchor, FAINT, INK, Svg};

/// `counts` is `[actual][predicted]`, of the images of `suite`.
pub fn confusion(suite: &str, names: &[String], counts: &[Vec<u64>]) -> String {
    let classes = counts.len().max(1);
    let cell = (520.0 / classes as f64).clamp(6.0, 46.0);
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(24) as f64;
    let margin = 34.0 + 7.0 * longest;
    let extent = cell * classes as f64;
    let upright = longest <= 6.0 && cell >= 40.0;
    let (left, top) = (margin + 10.0, if upright { 60.0 } else { margin + 50.0 });
    let mut svg = Svg::new((left + extent + 20.0).max(360.0), top + extent + 36.0);
    svg.title((20.0, 26.0), &format!("Confusion on {suite}"));
    svg.note((20.0, 44.0), Anchor::Start, "rows: actual, columns: predicted");

    let off_diagonal = |(row, line): (usize, &Vec<u64>)| {
        line.iter().enumerate().filter(move |(c, _)| *c != row).map(|(_, n)| *n).max()
    };
    let most = counts.iter().enumerate().filter_map(off_diagonal).max().unwrap_or(0).max(1) as f64;
    for (row, line) in counts.iter().enumerate() {
        let total = line.iter().sum::<u64>().max(1) as f64;
        for (column, &count) in line.iter().enumerate() {
            let at = (left + column as f64 * cell, top + row as f64 * cell);
            let fill = if row == column {
                mix([255, 255, 255], [47, 109, 179], 0.15 + 0.55 * (count as f64 / total))
            } else if count == 0 {
                "#f6f6f6".to_owned()
            } else {
                mix([253, 236, 224], [216, 102, 44], (count as f64 / most).sqrt())
            };
            svg.rect(at, (cell - 1.0, cell - 1.0), &fill);
            if cell >= 24.0 && count > 0 {
                let size = if count < 1000 { 12.0 } else { 11.0 };
                let middle = (at.0 + cell / 2.0, at.1 + cell / 2.0 + 4.0);
                svg.words(middle, Anchor::Middle, size, INK, 0.0, &count.to_string());
            }
        }
    }
    let size = (cell - 2.0).clamp(5.0, 12.0);
    for (class, name) in names.iter().enumerate().take(classes) {
        let middle = class as f64 * cell + cell / 2.0;
        let colour = if cell >= 10.0 { INK } else { FAINT };
        svg.words((left - 8.0, top + middle + 4.0), Anchor::End, size, colour, 0.0, name);
        let (x, y) = (left + middle, top + extent + 14.0);
        if upright {
            svg.words((x, y), Anchor::Middle, size, colour, 0.0, name);
        } else {
            svg.words((x + 4.0, top - 10.0), Anchor::Start, size, colour, -60.0, name);
        }
    }
    svg.finish()
}

fn mix(from: [u8; 3], to: [u8; 3], share: f64) -> String {
    let part = |i: usize| {
        let (a, b) = (f64::from(from[i]), f64::from(to[i]));
        (a + share.clamp(0.0, 1.0) * (b - a)).round()
    };
    format!("rgb({},{},{})", part(0), part(1), part(2))
}
