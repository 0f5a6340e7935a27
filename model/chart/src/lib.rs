//! The few elements of SVG that our pictures are made of: without scripts or fonts of their own, so that any
//! browser and any forge shows them. Text is escaped here and nowhere else.

use std::fmt::{self, Write as _};

pub const BLUE: &str = "#2f6db3";
pub const ORANGE: &str = "#d8662c";
pub const INK: &str = "#333333";
pub const FAINT: &str = "#8a8a8a";
pub const GRID: &str = "#e3e3e3";

#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        let mut svg = Self { width, height, body: String::new() };
        // Viewers with a dark ground would swallow dark text.
        svg.rect((0.0, 0.0), (width, height), "#ffffff");
        svg
    }

    pub fn finish(self) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"system-ui, sans-serif\">\n{body}</svg>\n"
        )
    }

    fn push(&mut self, element: fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("writing to a String cannot fail");
        self.body.push('\n');
    }

    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        self.push(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    pub fn line(&mut self, a: (f64, f64), b: (f64, f64), colour: &str) {
        self.push(format_args!(
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\"/>",
            a.0, a.1, b.0, b.1
        ));
    }

    pub fn dashes(&mut self, a: (f64, f64), b: (f64, f64), colour: &str) {
        self.push(format_args!(
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\" stroke-dasharray=\"5 4\"/>",
            a.0, a.1, b.0, b.1
        ));
    }

    /// A line through the points, and a dot on each where there are few.
    pub fn curve(&mut self, points: &[(f64, f64)], colour: &str) {
        let list: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\"/>",
            list.join(" ")
        ));
        if points.len() <= 40 {
            for (x, y) in points {
                self.push(format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                ));
            }
        }
    }

    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, text: &str) {
        self.words(at, anchor, 12.0, INK, 0.0, text);
    }

    pub fn title(&mut self, at: (f64, f64), text: &str) {
        self.words(at, Anchor::Start, 15.0, INK, 0.0, text);
    }

    pub fn note(&mut self, at: (f64, f64), anchor: Anchor, text: &str) {
        self.words(at, anchor, 11.0, FAINT, 0.0, text);
    }

    pub fn words(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        colour: &str,
        turned: f64,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn = if turned == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({turned:.0} {x:.1} {y:.1})\"")
        };
        let text = escape(text);
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size:.0}\" \
             fill=\"{colour}\"{turn}>{text}</text>"
        ));
    }

    /// A PNG, enlarged without smoothing.
    pub fn picture(&mut self, (x, y): (f64, f64), size: (f64, f64), base64: &str) {
        self.push(format_args!(
            "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{base64}\"/>",
            size.0, size.1
        ));
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Not allowed in XML, not even escaped.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The area between two axes.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Panel {
    /// Shares of the width from the left and of the height from below.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + x * self.width, self.top + (1.0 - y) * self.height)
    }

    /// Rules at the shares `y`, each with its label.
    pub fn rules(&self, svg: &mut Svg, labels: &[(f64, String)]) {
        for (y, label) in labels {
            svg.line(self.at(0.0, *y), self.at(1.0, *y), GRID);
            let (x, y) = self.at(0.0, *y);
            svg.note((x - 6.0, y + 4.0), Anchor::End, label);
        }
    }

    /// Labels below, at the shares `x`.
    pub fn below(&self, svg: &mut Svg, labels: &[(f64, String)], name: &str) {
        svg.line(self.at(0.0, 0.0), self.at(1.0, 0.0), FAINT);
        for (x, label) in labels {
            let (x, y) = self.at(*x, 0.0);
            svg.note((x, y + 16.0), Anchor::Middle, label);
        }
        let (x, y) = self.at(0.5, 0.0);
        svg.text((x, y + 34.0), Anchor::Middle, name);
    }
}
