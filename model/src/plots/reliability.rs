//! Whether a confidence of 80 % is right in 80 of 100 cases, and how often which confidence occurs.

use chart::{Anchor, BLUE, FAINT, ORANGE, Panel, Svg};
use contract::manifest::ReliabilityBin;

pub fn reliability(suite: &str, bins: &[ReliabilityBin], calibration_error: f64) -> String {
    let mut svg = Svg::new(460.0, 560.0);
    svg.title((20.0, 26.0), &format!("Reliability on {suite}"));
    let error = format!("calibration error {:.2} %", 100.0 * calibration_error);
    svg.text((430.0, 26.0), Anchor::End, &error);

    let upper = Panel { left: 60.0, top: 56.0, width: 370.0, height: 300.0 };
    let percent: Vec<(f64, String)> =
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|s| (s, format!("{:.0}", 100.0 * s))).to_vec();
    svg.text((upper.left - 40.0, upper.top - 10.0), Anchor::Start, "right (%)");
    upper.rules(&mut svg, &percent);
    let width = upper.width / bins.len().max(1) as f64;
    for (i, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.count > 0) {
        let x = upper.left + i as f64 * width + 1.0;
        let (_, accuracy) = upper.at(0.0, bin.accuracy);
        let (_, confidence) = upper.at(0.0, bin.mean_confidence);
        svg.rect((x, accuracy), (width - 2.0, upper.top + upper.height - accuracy), BLUE);
        // Where the bar would end, were the confidence right.
        svg.rect((x, confidence - 1.5), (width - 2.0, 3.0), ORANGE);
    }
    svg.dashes(upper.at(0.0, 0.0), upper.at(1.0, 1.0), FAINT);
    svg.line(upper.at(0.0, 0.0), upper.at(1.0, 0.0), FAINT);
    svg.rect((upper.left + 10.0, upper.top + 12.0), (12.0, 10.0), BLUE);
    svg.text((upper.left + 28.0, upper.top + 21.0), Anchor::Start, "share that is right");
    svg.rect((upper.left + 10.0, upper.top + 33.0), (12.0, 3.0), ORANGE);
    svg.text((upper.left + 28.0, upper.top + 38.0), Anchor::Start, "mean confidence");

    let lower = Panel { left: 60.0, top: 396.0, width: 370.0, height: 110.0 };
    svg.text((lower.left - 40.0, lower.top - 10.0), Anchor::Start, "images");
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1) as f64;
    // Nearly all confidences lie in the last bin: linearly, nothing else would be seen.
    let share = |count: f64| (1.0 + count).log10() / (1.0 + most).log10();
    let decades = (0..=6).map(|exponent| 10f64.powi(exponent)).filter(|tick| *tick <= most);
    let ticks: Vec<(f64, String)> = decades.map(|tick| (share(tick), tick.to_string())).collect();
    lower.rules(&mut svg, &ticks);
    for (i, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.count > 0) {
        let (_, top) = lower.at(0.0, share(bin.count as f64));
        let x = lower.left + i as f64 * width + 1.0;
        svg.rect((x, top), (width - 2.0, lower.top + lower.height - top), FAINT);
    }
    lower.below(&mut svg, &percent, "confidence (%)");
    svg.finish()
}
