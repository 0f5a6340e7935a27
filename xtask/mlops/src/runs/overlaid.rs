//! Every metric that was measured in steps, all runs in one panel.

use std::collections::BTreeMap;

use chart::{Anchor, BLUE, FAINT, INK, ORANGE, Panel, Svg};

use super::read::Run;
use super::table::number;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 230.0;
const LINE: f64 = 18.0;
/// Taken in turn.
const COLOURS: [&str; 7] = [BLUE, ORANGE, "#3a8f4d", "#8b4fb0", "#b8364f", "#7a6a2f", INK];

type Curve = Vec<(f64, f64)>;

pub(super) fn picture(runs: &[Run]) -> String {
    let metrics = stepped(runs);
    let head = 40.0 + LINE * runs.len() as f64;
    let mut svg = Svg::new(WIDTH, head + HEIGHT * metrics.len().max(1) as f64);
    svg.title((20.0, 26.0), &format!("{} runs", runs.len()));
    for (index, run) in runs.iter().enumerate() {
        let y = 46.0 + LINE * index as f64;
        svg.rect((20.0, y - 9.0), (12.0, 10.0), colour(index));
        svg.text((38.0, y), Anchor::Start, &run.record.run_id);
    }
    if metrics.is_empty() {
        svg.note((20.0, head + 20.0), Anchor::Start, "no metric was measured more than once");
    }
    for (index, (key, curves)) in metrics.iter().enumerate() {
        let top = head + 30.0 + HEIGHT * index as f64;
        let panel = Panel { left: 80.0, top, width: WIDTH - 110.0, height: HEIGHT - 90.0 };
        svg.text((panel.left, top - 8.0), Anchor::Start, key);
        draw(&mut svg, panel, curves);
    }
    svg.finish()
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// By metric the curve of each run, of metrics that some run measured more than once.
fn stepped(runs: &[Run]) -> BTreeMap<&str, Vec<Curve>> {
    let mut metrics: BTreeMap<&str, Vec<Curve>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        for point in run.metrics.iter().filter(|point| point.value.is_finite()) {
            let curves = metrics.entry(&point.key).or_insert_with(|| vec![Vec::new(); runs.len()]);
            curves[index].push((f64::from(point.step), point.value));
        }
    }
    metrics.retain(|_, curves| curves.iter().any(|curve| curve.len() > 1));
    metrics
}

fn draw(svg: &mut Svg, panel: Panel, curves: &[Curve]) {
    let points = || curves.iter().flatten();
    let (low, high) = ends(points().map(|(_, value)| *value));
    let (first, last) = ends(points().map(|(step, _)| *step));
    let labels = [0.0, 0.5, 1.0].map(|share| (share, number(low + share * (high - low))));
    panel.rules(svg, &labels);
    for (index, curve) in curves.iter().enumerate().filter(|(_, curve)| !curve.is_empty()) {
        let at = |(step, value): &(f64, f64)| {
            panel.at((step - first) / (last - first), (value - low) / (high - low))
        };
        svg.curve(&curve.iter().map(at).collect::<Vec<_>>(), colour(index));
    }
    svg.line(panel.at(0.0, 0.0), panel.at(1.0, 0.0), FAINT);
    panel.below(svg, &[(0.0, format!("{first:.0}")), (1.0, format!("{last:.0}"))], "epoch");
}

/// Apart from each other, whatever there is.
fn ends(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low < high { (low, high) } else { (low - 0.5, low + 0.5) }
}
