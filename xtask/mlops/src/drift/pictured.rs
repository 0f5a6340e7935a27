//! Both distributions of every signal, side by side.

use chart::{Anchor, BLUE, FAINT, ORANGE, Panel, Svg};
use contract::baseline::CLASS;
use contract::manifest::Manifest;

use super::report::Report;
use super::tally::Tally;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 150.0;

pub(super) fn distributions(tally: &Tally<'_>, report: &Report, manifest: &Manifest) -> String {
    let references = tally.baseline.distributions();
    let mut svg = Svg::new(WIDTH, 40.0 + HEIGHT * references.len() as f64);
    svg.title((20.0, 26.0), &format!("{}, model {}", manifest.title(), manifest.model_version));
    svg.rect((WIDTH - 240.0, 15.0), (12.0, 10.0), BLUE);
    svg.text((WIDTH - 222.0, 24.0), Anchor::Start, "tested on");
    svg.rect((WIDTH - 140.0, 15.0), (12.0, 10.0), ORANGE);
    svg.text((WIDTH - 122.0, 24.0), Anchor::Start, "in the records");
    let baseline = tally.baseline;
    let ends = [&baseline.ink, &baseline.bbox, &baseline.entropy, &baseline.confidence]
        .map(|histogram| (histogram.low, histogram.high));
    for (index, (reference, live)) in references.into_iter().zip(&tally.all).enumerate() {
        let top = 66.0 + HEIGHT * index as f64;
        let panel = Panel { left: 60.0, top, width: WIDTH - 90.0, height: HEIGHT - 66.0 };
        let signal = &report.signals[index];
        let drifted = if signal.drifted { ", drifted" } else { "" };
        let psi = signal.distance.map(|found| format!(", PSI {:.3}{drifted}", found.psi));
        let title = format!("{}{}", signal.name, psi.unwrap_or_default());
        svg.text((panel.left, top - 8.0), Anchor::Start, &title);
        bars(&mut svg, panel, reference, live);
        let last = reference.len().max(1) as f64;
        let labels: Vec<(f64, String)> = if index == CLASS {
            let names = manifest.task.classes.iter().enumerate();
            names.map(|(class, name)| ((class as f64 + 0.5) / last, name.clone())).collect()
        } else {
            let (low, high) = ends[index];
            [0.0, 0.5, 1.0].map(|x| (x, format!("{}", low + x * (high - low)))).to_vec()
        };
        panel.below(&mut svg, &labels, "");
    }
    svg.finish()
}

fn bars(svg: &mut Svg, panel: Panel, reference: &[u64], live: &[u64]) {
    let shares = |counts: &[u64]| {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&count| count as f64 / total).collect::<Vec<_>>()
    };
    let (reference, live) = (shares(reference), shares(live));
    let most = reference.iter().chain(&live).copied().fold(f64::MIN_POSITIVE, f64::max);
    panel.rules(svg, &[(0.0, "0 %".to_owned()), (1.0, format!("{:.0} %", 100.0 * most))]);
    let width = panel.width / reference.len().max(1) as f64;
    for (bin, pair) in reference.into_iter().zip(live).enumerate() {
        for (side, (share, colour)) in [(pair.0, BLUE), (pair.1, ORANGE)].into_iter().enumerate() {
            let (_, top) = panel.at(0.0, share / most);
            let x = panel.left + width * (bin as f64 + 0.1 + 0.4 * side as f64);
            svg.rect((x, top), (0.4 * width, panel.top + panel.height - top), colour);
        }
    }
    svg.line(panel.at(0.0, 0.0), panel.at(1.0, 0.0), FAINT);
}
