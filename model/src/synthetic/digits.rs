//! Handwriting-like digits: one of several manners of writing, bent by chance, drawn with a pen of chance
//! thickness, then placed as MNIST's makers placed theirs (scaled into 20 of 28 pixels, centred by mass).

use contract::image::Shape;

use super::canvas::{Canvas, Pen, Point};
use super::glyphs::{self, Glyph};
use crate::random::Random;

pub(super) const CLASSES: usize = glyphs::DIGITS.len();

/// Straight pieces that stand for the curve between two points.
const PIECES: usize = 6;

pub(super) fn draw(label: u8, shape: Shape, random: &mut Random, picture: &mut [u8]) {
    let glyph = choose(glyphs::DIGITS[usize::from(label)], random);
    let hand = Hand::of(random);
    let mut strokes: Vec<Vec<Point>> =
        glyph.strokes.iter().map(|stroke| curve(&unsteady(stroke, &hand, random))).collect();
    for point in strokes.iter_mut().flatten() {
        *point = hand.place(*point);
    }
    let scale = shape.height.min(shape.width) as f32 / 28.0;
    let radius = hand.radius * scale;
    let size = 20.0 * scale - 2.0 * radius;
    fit(&mut strokes, size, (shape.width as f32 / 2.0, shape.height as f32 / 2.0));

    let mut canvas = Canvas::new(shape.height, shape.width);
    for stroke in &strokes {
        let taper = (random.within(0.75, 1.15), random.within(0.75, 1.15));
        let last = (stroke.len() - 1).max(1) as f32;
        let pen = |i: usize| {
            let along = i as f32 / last;
            Pen { at: stroke[i], radius: radius * (taper.0 + along * (taper.1 - taper.0)) }
        };
        for i in 1..stroke.len() {
            canvas.line(pen(i - 1), pen(i), hand.softness * scale);
        }
    }
    canvas.centre_by_mass();
    let pixels = picture.chunks_exact_mut(shape.channels);
    for (pixel, ink) in pixels.zip(&canvas.ink) {
        pixel.fill(grey(*ink, &hand, random));
    }
}

fn choose<'a>(manners: &'a [Glyph], random: &mut Random) -> &'a Glyph {
    let mut left = random.unit() * manners.iter().map(|glyph| glyph.weight).sum::<f32>();
    for glyph in manners {
        left -= glyph.weight;
        if left < 0.0 {
            return glyph;
        }
    }
    &manners[0]
}

/// What stays the same over one digit.
struct Hand {
    /// Columns are where (1, 0) and (0, 1) go: width, slant, rotation.
    matrix: [f32; 4],
    /// Displacements at the corners of a grid over the glyph.
    bend: [[Point; BEND]; BEND],
    tremor: f32,
    /// Half the stroke's thickness in 28ths of the picture.
    radius: f32,
    softness: f32,
    /// Ink at full pressure, 0 to 1, and how unevenly it covers.
    pressure: f32,
    grain: f32,
}

const BEND: usize = 4;

impl Hand {
    fn of(random: &mut Random) -> Self {
        let spread = random.unit();
        let width = 0.7 + 0.5 * spread + 0.4 * spread * spread;
        let slant = -0.12 - 0.22 * random.bell();
        // (1 - t²)/(1 + t²) and 2t/(1 + t²) are cosine and sine of an angle whose half has the tangent t.
        let t = 0.05 * random.bell();
        let (cos, sin) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
        let matrix = [width * cos, cos * slant - sin, width * sin, sin * slant + cos];
        let strength = random.within(0.0, 0.06);
        let mut bend = [[(0.0, 0.0); BEND]; BEND];
        for corner in bend.iter_mut().flatten() {
            *corner = (strength * random.bell(), strength * random.bell());
        }
        let thick = random.unit();
        Self {
            matrix,
            bend,
            tremor: random.within(0.0, 0.035),
            radius: 0.75 + 0.85 * thick + 1.1 * thick * thick * thick,
            softness: random.within(1.0, 1.8),
            pressure: random.within(0.9, 1.1),
            grain: random.within(0.0, 0.08),
        }
    }

    fn place(&self, (x, y): Point) -> Point {
        let (dx, dy) = self.bent(x, y);
        let (x, y) = (x + dx - 0.3, y + dy - 0.5);
        let m = self.matrix;
        (m[0] * x + m[1] * y, m[2] * x + m[3] * y)
    }

    /// Bilinear between the corners, eased so that no kink shows at their lines.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the grid; a float cast saturates"
    )]
    fn bent(&self, x: f32, y: f32) -> Point {
        let cell = |value: f32| {
            let place = value.clamp(0.0, 1.0) * (BEND - 1) as f32;
            let corner = (place as usize).min(BEND - 2);
            let t = place - corner as f32;
            (corner, t * t * (3.0 - 2.0 * t))
        };
        let ((column, u), (row, v)) = (cell(x / 0.7), cell(y));
        let between = |a: Point, b: Point, t: f32| (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
        let top = between(self.bend[row][column], self.bend[row][column + 1], u);
        let bottom = between(self.bend[row + 1][column], self.bend[row + 1][column + 1], u);
        between(top, bottom, v)
    }
}

/// Each point a little off; the two of a corner together.
fn unsteady(stroke: &[Point], hand: &Hand, random: &mut Random) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::with_capacity(stroke.len());
    for (i, &(x, y)) in stroke.iter().enumerate() {
        match points.last() {
            Some(&last) if stroke[i - 1] == (x, y) => points.push(last),
            _ => {
                points.push((x + hand.tremor * random.bell(), y + hand.tremor * random.bell()));
            }
        }
    }
    points
}

/// A Catmull-Rom spline through the points.
fn curve(points: &[Point]) -> Vec<Point> {
    let at = |i: usize| points[i.clamp(1, points.len()) - 1];
    let mut pieces = vec![points[0]];
    for i in 1..points.len() {
        let four = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        if four[1] == four[2] {
            continue;
        }
        for step in 1..=PIECES {
            let along = step as f32 / PIECES as f32;
            pieces.push((
                between(four.map(|point| point.0), along),
                between(four.map(|point| point.1), along),
            ));
        }
    }
    pieces
}

/// From the second to the third of four values, in the direction that the outer two suggest.
fn between([a, b, c, d]: [f32; 4], along: f32) -> f32 {
    let (linear, square) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d);
    let cube = 3.0 * (b - c) + d - a;
    b + 0.5 * along * (linear + along * (square + along * cube))
}

/// Scales the strokes' box to `size` on its longer side and moves its centre to `middle`.
fn fit(strokes: &mut [Vec<Point>], size: f32, middle: Point) {
    let (mut low, mut high) = ((f32::MAX, f32::MAX), (f32::MIN, f32::MIN));
    for &(x, y) in strokes.iter().flatten() {
        low = (low.0.min(x), low.1.min(y));
        high = (high.0.max(x), high.1.max(y));
    }
    let scale = size / (high.0 - low.0).max(high.1 - low.1).max(1e-6);
    let centre = (f32::midpoint(low.0, high.0), f32::midpoint(low.1, high.1));
    for point in strokes.iter_mut().flatten() {
        *point = (middle.0 + scale * (point.0 - centre.0), middle.1 + scale * (point.1 - centre.1));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..255; a float cast saturates"
)]
fn grey(ink: f32, hand: &Hand, random: &mut Random) -> u8 {
    if ink <= 0.0 {
        return 0;
    }
    let uneven = 1.0 - hand.grain * random.unit();
    (255.0 * (ink * hand.pressure).min(1.0) * uneven).round().clamp(0.0, 255.0) as u8
}
