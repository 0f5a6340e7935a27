//! Loss and error by epoch, both on logarithmic axes: what matters happens below one per cent.

use crate::training::Epoch;
use chart::{Anchor, BLUE, ORANGE, Panel, Svg};

pub fn learning_curves(data: &str, epochs: &[Epoch]) -> String {
    let mut svg = Svg::new(820.0, 330.0);
    svg.title((20.0, 26.0), &format!("Learning curves on {data}"));
    svg.rect((560.0, 17.0), (14.0, 4.0), BLUE);
    svg.text((580.0, 23.0), Anchor::Start, "training, augmented");
    svg.rect((710.0, 17.0), (14.0, 4.0), ORANGE);
    svg.text((730.0, 23.0), Anchor::Start, "validation");
    let panel = |left| Panel { left, top: 66.0, width: 330.0, height: 206.0 };
    let loss = [|e: &Epoch| e.train_loss, |e: &Epoch| e.validation_loss];
    draw(&mut svg, panel(60.0), "loss (nats)", epochs, loss);
    let error = [
        |e: &Epoch| 100.0 * (1.0 - e.train_accuracy),
        |e: &Epoch| 100.0 * (1.0 - e.validation_accuracy),
    ];
    draw(&mut svg, panel(465.0), "error (% of images)", epochs, error);
    svg.finish()
}

fn draw(svg: &mut Svg, panel: Panel, name: &str, epochs: &[Epoch], values: [fn(&Epoch) -> f64; 2]) {
    svg.text((panel.left - 6.0, panel.top - 12.0), Anchor::Start, name);
    let all = || epochs.iter().flat_map(|epoch| values.map(|value| value(epoch)));
    let axis = Logarithmic::over(all());
    panel.rules(svg, &axis.ticks());
    let last = epochs.last().map_or(1, |epoch| epoch.epoch);
    let first = epochs.first().map_or(1, |epoch| epoch.epoch);
    let along = |epoch: u32| {
        if last == first { 0.5 } else { f64::from(epoch - first) / f64::from(last - first) }
    };
    let step = (last - first).div_ceil(8).max(1);
    let labels: Vec<(f64, String)> = (first..=last)
        .step_by(step as usize)
        .map(|epoch| (along(epoch), epoch.to_string()))
        .collect();
    panel.below(svg, &labels, "epoch");
    for (value, colour) in values.into_iter().zip([BLUE, ORANGE]) {
        let points: Vec<(f64, f64)> = epochs
            .iter()
            .map(|epoch| panel.at(along(epoch.epoch), axis.share(value(epoch))))
            .collect();
        svg.curve(&points, colour);
    }
}

struct Logarithmic {
    low: f64,
    high: f64,
}

impl Logarithmic {
    /// Zeros have no logarithm: they are drawn at the lower end.
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let usable = values.filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) =
            usable.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return Self { low: 0.1, high: 10.0 };
        }
        // At least a factor of three, so that noise does not look like progress.
        let middle = (low * high).sqrt();
        Self { low: low.min(middle / 1.8) / 1.1, high: high.max(middle * 1.8) * 1.1 }
    }

    fn share(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.max(self.low).min(self.high) } else { self.high };
        (value / self.low).ln() / (self.high / self.low).ln()
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let steps: &[f64] = if self.high / self.low > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        for exponent in -9..=6 {
            for step in steps {
                let value = step * 10f64.powi(exponent);
                if (self.low..=self.high).contains(&value) {
                    ticks.push((self.share(value), format!("{value}")));
                }
            }
        }
        ticks
    }
}
