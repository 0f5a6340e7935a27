//! [`Answer`]: what came of one prediction request. Body, headers, log and metrics project it.

use std::fmt::Write as _;
use std::time::Duration;

use contract::features::Features;
use contract::image::Image;
use contract::prediction::Prediction;

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// In the order of the request's images.
    pub predictions: Vec<Prediction>,
    /// Where records of them are kept; otherwise nobody needs them any more.
    pub images: Vec<Image>,
    /// Of the same images.
    pub features: Vec<Features>,
    pub timings: Timings,
    /// Images computed together, this request's among them.
    pub batch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timings {
    /// From the request's head to the end of its body.
    pub read: Duration,
    /// From body to images.
    pub decode: Duration,
    /// Waiting for the model.
    pub queue: Duration,
    pub infer: Duration,
}

impl Timings {
    pub const STAGES: [&str; 3] = ["decode", "queue", "infer"];

    pub fn stages(&self) -> [Duration; 3] {
        [self.decode, self.queue, self.infer]
    }

    /// As `Server-Timing` spells it, in milliseconds.
    pub fn header(&self) -> String {
        // Whole numbers: to spell a float takes longer than all else of a header.
        let mut text = String::with_capacity(64);
        for (name, time) in Self::STAGES.iter().zip(self.stages()) {
            let separator = if text.is_empty() { "" } else { ", " };
            let (ms, rest) = (time.as_micros() / 1000, time.as_micros() % 1000);
            write!(text, "{separator}{name};dur={ms}.{rest:03}").expect("a string takes all");
        }
        text
    }
}
