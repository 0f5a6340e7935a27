//! [`Answer`]: what came of one prediction request. Body, headers, log and metrics project it.

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
    /// From body to images.
    pub decode: Duration,
    /// Waiting for the model.
    pub queue: Duration,
    pub infer: Duration,
}

impl Timings {
    pub fn stages(&self) -> [(&'static str, Duration); 3] {
        [("decode", self.decode), ("queue", self.queue), ("infer", self.infer)]
    }

    /// As `Server-Timing` spells it, in milliseconds.
    pub fn header(&self) -> String {
        let stage =
            |(name, time): (&str, Duration)| format!("{name};dur={:.3}", time.as_secs_f64() * 1e3);
        self.stages().map(stage).join(", ")
    }
}
