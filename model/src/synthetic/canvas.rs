//! A grey picture that strokes are drawn on with a round, soft-edged pen.

pub(super) type Point = (f32, f32);

pub(super) struct Canvas {
    pub(super) height: usize,
    pub(super) width: usize,
    /// 0 (nothing) to 1 (ink), row-major.
    pub(super) ink: Vec<f32>,
}

/// The pen at one moment: where, how thick (half its diameter), in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen {
    pub(super) at: Point,
    pub(super) radius: f32,
}

impl Canvas {
    pub(super) fn new(height: usize, width: usize) -> Self {
        Self { height, width, ink: vec![0.0; height * width] }
    }

    /// Draws from `a` to `b`; the edge fades over `softness` pixels. Ink never adds up where lines cross.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the canvas; a float cast saturates"
    )]
    pub(super) fn line(&mut self, a: Pen, b: Pen, softness: f32) {
        let reach = a.radius.max(b.radius) + softness;
        let first = |u: f32, v: f32| (u.min(v) - reach).floor().max(0.0) as usize;
        let last = |u: f32, v: f32, n: usize| ((u.max(v) + reach).ceil().max(0.0) as usize).min(n);
        let (dx, dy) = (b.at.0 - a.at.0, b.at.1 - a.at.1);
        let length2 = (dx * dx + dy * dy).max(1e-12);
        let columns = first(a.at.0, b.at.0)..last(a.at.0, b.at.0, self.width);
        for row in first(a.at.1, b.at.1)..last(a.at.1, b.at.1, self.height) {
            for column in columns.clone() {
                let (px, py) = (column as f32 + 0.5 - a.at.0, row as f32 + 0.5 - a.at.1);
                let t = ((px * dx + py * dy) / length2).clamp(0.0, 1.0);
                let (ex, ey) = (px - t * dx, py - t * dy);
                let radius = a.radius + t * (b.radius - a.radius);
                let outside = (ex * ex + ey * ey).sqrt() - radius;
                let ink = (0.5 - outside / softness).clamp(0.0, 1.0);
                let pixel = &mut self.ink[row * self.width + column];
                *pixel = pixel.max(ink);
            }
        }
    }

    /// Moves everything by whole pixels until the centre of mass is within half a pixel of the middle.
    pub(super) fn centre_by_mass(&mut self) {
        let (mut mass, mut mx, mut my) = (0.0f32, 0.0, 0.0);
        for (row, line) in self.ink.chunks_exact(self.width).enumerate() {
            for (column, ink) in line.iter().enumerate() {
                mass += ink;
                mx += ink * (column as f32 + 0.5);
                my += ink * (row as f32 + 0.5);
            }
        }
        if mass > 0.0 {
            let shift = |middle: usize, moment: f32| (middle as f32 / 2.0 - moment / mass).round();
            self.shift(shift(self.width, mx), shift(self.height, my));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "shifts are within the canvas")]
    fn shift(&mut self, dx: f32, dy: f32) {
        let (dx, dy) = (dx as isize, dy as isize);
        let mut moved = vec![0.0; self.ink.len()];
        for (row, line) in self.ink.chunks_exact(self.width).enumerate() {
            for (column, &ink) in line.iter().enumerate() {
                let to = (row.checked_add_signed(dy), column.checked_add_signed(dx));
                if let (Some(row), Some(column)) = to
                    && row < self.height
                    && column < self.width
                {
                    moved[row * self.width + column] = ink;
                }
            }
        }
        self.ink = moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_drawn_in_a_corner_ends_up_in_the_middle() {
        let mut canvas = Canvas::new(9, 9);
        let pen = Pen { at: (1.5, 2.5), radius: 0.5 };
        canvas.line(pen, pen, 1.0);
        assert!((canvas.ink[2 * 9 + 1] - 1.0).abs() < 1e-6);
        canvas.centre_by_mass();
        assert!((canvas.ink[4 * 9 + 4] - 1.0).abs() < 1e-6);
    }
}
