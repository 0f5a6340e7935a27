//! Columns as wide as what stands in them.

use std::fmt::Write as _;

/// The first row is the head. Columns but the first are flush right where `numbers` says so.
pub(super) fn aligned(rows: &[Vec<String>], numbers: impl Fn(usize) -> bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let gap = if column == 0 { "" } else { "  " };
            let written = if numbers(column) {
                write!(line, "{gap}{cell:>width$}")
            } else {
                write!(line, "{gap}{cell:<width$}")
            };
            written.expect("writing to a String cannot fail");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Three or four figures; what is tiny by its exponent.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&size) {
        let places = if size >= 1.0 { 3 } else { 4 };
        format!("{value:.places$}")
    } else {
        format!("{value:.2e}")
    }
}
