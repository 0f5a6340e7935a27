//! Five filled shapes in colour, of any size, place and rotation, on a textured ground.

use contract::image::Shape;

use super::canvas::Point;
use crate::random::Random;

/// In the order of the labels: circle, square, triangle, star, cross.
pub(super) const CLASSES: usize = 5;

type Colour = [f32; 3];

enum Figure {
    Circle,
    /// Corners of an outline that fits into the unit circle.
    Outline(&'static [Point]),
}

const SQUARE: &[Point] = &[(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)];
const TRIANGLE: &[Point] = &[(0.0, -1.0), (0.866, 0.5), (-0.866, 0.5)];
/// Five points at radius 1, the notches between them at 0.42.
#[rustfmt::skip]
const STAR: &[Point] = &[
    (0.0, -1.0), (0.247, -0.340), (0.951, -0.309), (0.399, 0.130), (0.588, 0.809),
    (0.0, 0.42), (-0.588, 0.809), (-0.399, 0.130), (-0.951, -0.309), (-0.247, -0.340),
];
#[rustfmt::skip]
const CROSS: &[Point] = &[
    (-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3),
    (0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3),
];
const FIGURES: [Figure; CLASSES] = [
    Figure::Circle,
    Figure::Outline(SQUARE),
    Figure::Outline(TRIANGLE),
    Figure::Outline(STAR),
    Figure::Outline(CROSS),
];

pub(super) fn draw(label: u8, shape: Shape, random: &mut Random, picture: &mut [u8]) {
    let side = shape.height.min(shape.width) as f32;
    let radius = side * random.within(0.26, 0.44);
    let middle = |length: usize, random: &mut Random| {
        length as f32 / 2.0 + (length as f32 / 2.0 - radius).max(0.0) * random.within(-0.9, 0.9)
    };
    let centre = (middle(shape.width, random), middle(shape.height, random));
    let (cos, sin) = direction(random);
    let stretch = random.within(0.9, 1.1);
    let ground = Ground::of(random);
    let colour = contrasting(&ground, random);
    let gradient = random.within(-0.15, 0.15);
    let noise = random.within(0.0, 0.05);
    let figure = &FIGURES[usize::from(label)];

    for (i, pixel) in picture.chunks_exact_mut(shape.channels).enumerate() {
        let (x, y) = ((i % shape.width) as f32 + 0.5, (i / shape.width) as f32 + 0.5);
        let (dx, dy) = ((x - centre.0) / radius, (y - centre.1) / radius);
        let (u, v) = ((cos * dx + sin * dy) * stretch, (cos * dy - sin * dx) / stretch);
        let cover = (0.5 - outside(figure, (u, v)) * radius).clamp(0.0, 1.0);
        let behind = ground.at((x / side, y / side));
        for (channel, value) in pixel.iter_mut().enumerate() {
            let front = colour[channel % 3] + gradient * v;
            let value01 = behind[channel % 3] * (1.0 - cover) + front * cover;
            *value = byte(value01 + noise * random.bell());
        }
    }
}

/// Signed distance from the figure's edge, negative inside.
fn outside(figure: &Figure, (x, y): Point) -> f32 {
    let corners = match figure {
        Figure::Circle => return (x * x + y * y).sqrt() - 0.92,
        Figure::Outline(corners) => corners,
    };
    let mut nearest = f32::MAX;
    let mut inside = false;
    for (i, &(ax, ay)) in corners.iter().enumerate() {
        let (bx, by) = corners[(i + 1) % corners.len()];
        let (ex, ey, px, py) = (bx - ax, by - ay, x - ax, y - ay);
        let t = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
        let (dx, dy) = (px - t * ex, py - t * ey);
        nearest = nearest.min(dx * dx + dy * dy);
        // A ray to the right crosses the outline an odd number of times from within.
        if (ay > y) != (by > y) && px < ex * py / ey {
            inside = !inside;
        }
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// Two colours, mixed by stripes and by blotches.
struct Ground {
    colours: [Colour; 2],
    stripes: Point,
    phase: f32,
    blotches: [[f32; BLOTCHES]; BLOTCHES],
    /// How much the stripes count; the blotches get the rest.
    striped: f32,
}

const BLOTCHES: usize = 6;

impl Ground {
    fn of(random: &mut Random) -> Self {
        let first = colour(random);
        let near = first.map(|c| (c + 0.3 * (random.unit() - 0.5)).clamp(0.0, 1.0));
        let (cos, sin) = direction(random);
        let frequency = random.within(2.0, 7.0);
        let mut blotches = [[0.0; BLOTCHES]; BLOTCHES];
        for value in blotches.iter_mut().flatten() {
            *value = random.unit();
        }
        Self {
            colours: [first, near],
            stripes: (cos * frequency, sin * frequency),
            phase: random.unit(),
            blotches,
            striped: if random.chance(0.5) { random.unit() } else { 0.0 },
        }
    }

    fn at(&self, (x, y): Point) -> Colour {
        let turn = x * self.stripes.0 + y * self.stripes.1 + self.phase;
        let stripe = (2.0 * (turn - turn.floor()) - 1.0).abs();
        let mix = self.striped * stripe + (1.0 - self.striped) * self.blotch(x, y);
        let [a, b] = self.colours;
        [0, 1, 2].map(|c| a[c] + mix * (b[c] - a[c]))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the grid; a float cast saturates"
    )]
    fn blotch(&self, x: f32, y: f32) -> f32 {
        let cell = |value: f32| {
            let place = value.clamp(0.0, 1.0) * (BLOTCHES - 1) as f32;
            let corner = (place as usize).min(BLOTCHES - 2);
            (corner, place - corner as f32)
        };
        let ((column, right), (row, down)) = (cell(x), cell(y));
        let line = |row: usize| {
            let [left, next] = [column, column + 1].map(|column| self.blotches[row][column]);
            left + right * (next - left)
        };
        line(row) + down * (line(row + 1) - line(row))
    }
}

fn colour(random: &mut Random) -> Colour {
    [random.unit(), random.unit(), random.unit()]
}

/// A colour that differs clearly from both of the ground's.
fn contrasting(ground: &Ground, random: &mut Random) -> Colour {
    loop {
        let candidate = colour(random);
        let differs = |other: &Colour| {
            candidate.iter().zip(other).map(|(a, b)| (a - b).abs()).sum::<f32>() > 0.75
        };
        if ground.colours.iter().all(differs) {
            return candidate;
        }
    }
}

/// Cosine and sine of an angle by chance: a point within the unit circle, brought to its edge.
fn direction(random: &mut Random) -> Point {
    loop {
        let (x, y) = (random.within(-1.0, 1.0), random.within(-1.0, 1.0));
        let length2 = x * x + y * y;
        if (0.01..=1.0).contains(&length2) {
            return (x / length2.sqrt(), y / length2.sqrt());
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..255; a float cast saturates"
)]
fn byte(value: f32) -> u8 {
    (255.0 * value).round().clamp(0.0, 255.0) as u8
}
