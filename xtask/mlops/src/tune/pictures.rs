//! What became of each trial, and what decided it.

use chart::{Anchor, BLUE, FAINT, ORANGE, Panel, Svg};

use super::state::{End, How, Seen};
use super::study::Study;
use super::work;

const WIDTH: f64 = 760.0;
const BAR: f64 = 24.0;

/// In the order of their ends.
pub(super) fn history(study: &Study, seen: &Seen) -> String {
    let objective = study.written.objective;
    let mut ends: Vec<&End> =
        work::ranked(study, seen).iter().filter_map(|(_, trial)| trial.end.as_ref()).collect();
    ends.sort_by_key(|end| end.at);
    let known: Vec<(usize, f64, How)> = ends
        .iter()
        .enumerate()
        .filter_map(|(index, end)| Some((index, end.value?, end.how)))
        .collect();
    let mut svg = Svg::new(WIDTH, 320.0);
    svg.title((20.0, 26.0), &format!("{} of each trial", objective.metric()));
    svg.rect((520.0, 16.0), (10.0, 10.0), BLUE);
    svg.note((534.0, 25.0), Anchor::Start, "finished");
    svg.rect((600.0, 16.0), (10.0, 10.0), ORANGE);
    svg.note((614.0, 25.0), Anchor::Start, "stopped early");
    // The worst would flatten all others.
    let mut values: Vec<f64> = known.iter().map(|(_, value, _)| *value).collect();
    values.sort_by(|one, other| objective.cost(*one).total_cmp(&objective.cost(*other)));
    let (Some(&first), Some(&most)) = (values.first(), values.get(values.len() * 9 / 10)) else {
        svg.note((20.0, 60.0), Anchor::Start, "no trial has ended");
        return svg.finish();
    };
    let (low, high) = (first.min(most), first.max(most));
    // Where all are alike, anywhere is the middle.
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
    let panel = Panel { left: 80.0, top: 50.0, width: WIDTH - 110.0, height: 200.0 };
    let labels = [0.0, 0.5, 1.0].map(|share| (share, objective.shown(low + share * (high - low))));
    panel.rules(&mut svg, &labels);
    let last = (ends.len() - 1).max(1) as f64;
    let at = |index: usize, value: f64| {
        panel.at(index as f64 / last, ((value - low) / (high - low)).clamp(0.0, 1.0))
    };
    let (mut best, mut line) = (None::<f64>, Vec::new());
    for (index, value, how) in known {
        let colour = if how == How::Finished { BLUE } else { ORANGE };
        let (x, y) = at(index, value);
        svg.rect((x - 3.0, y - 3.0), (6.0, 6.0), colour);
        if how == How::Finished {
            let is_better = best.is_none_or(|best| objective.cost(value) < objective.cost(best));
            best = if is_better { Some(value) } else { best };
        }
        line.extend(best.map(|best| at(index, best)));
    }
    for pair in line.windows(2) {
        svg.line(pair[0], pair[1], FAINT);
    }
    let labels = [(0.0, "1".to_owned()), (1.0, ends.len().to_string())];
    panel.below(
        &mut svg,
        &labels,
        "trials, in the order of their ends; the line is the best so far",
    );
    svg.finish()
}

pub(super) fn importance(shares: &[(String, f64)]) -> String {
    let mut svg = Svg::new(WIDTH, 50.0 + BAR * shares.len() as f64);
    svg.title((20.0, 26.0), "What decides whether a trial is among the best");
    for (index, (field, share)) in shares.iter().enumerate() {
        let y = 40.0 + BAR * index as f64;
        svg.text((210.0, y + 12.0), Anchor::End, field);
        svg.rect((220.0, y), (share * (WIDTH - 290.0), 16.0), BLUE);
        svg.note(
            (226.0 + share * (WIDTH - 290.0), y + 12.0),
            Anchor::Start,
            &format!("{share:.2}"),
        );
    }
    svg.finish()
}
