//! [`Records`]: one line of JSON for each image that was classified, into a file. Off unless asked for; no request
//! waits for it, and what could not be written is counted.

use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::digest::Digest;
use contract::record::{Input, Kind, Milliseconds, Output, Record, SCHEMA};
use jiff::Timestamp;
use prometheus::IntCounter;

use super::lines::Lines;
use super::logs::milliseconds;
use super::rotating::Rotating;
use crate::api::routes;
use crate::envelope::Exchange;
use crate::identity::Identity;

#[derive(Debug, Clone)]
pub struct Options {
    pub file: PathBuf,
    /// Bytes; then the file is put aside.
    pub size: u64,
    /// Share of images whose pixels are written, 0 to 1.
    pub pixels: f64,
}

pub struct Records {
    lines: Lines,
    pixels: f64,
}

impl Records {
    /// `dropped` counts records that were not written.
    pub fn open(options: &Options, dropped: IntCounter) -> io::Result<Self> {
        let file = Rotating::open(&options.file, options.size)?;
        Ok(Self { lines: Lines::to(file, "records", dropped)?, pixels: options.pixels })
    }

    /// What was observed before is written when this returns, or cannot be.
    pub fn flush(&self) {
        self.lines.flush();
    }

    pub fn observe(&self, exchange: &Exchange<'_>, identity: &Identity) {
        let Some(answer) = exchange.answer else { return };
        let timings = answer.timings;
        let ts = format!("{:.6}", Timestamp::now());
        let of_all = answer.images.iter().zip(&answer.features).zip(&answer.predictions);
        for (index, ((image, features), prediction)) in of_all.enumerate() {
            let is_sampled = self.samples(exchange.request_id, index);
            let record = Record {
                schema: SCHEMA,
                kind: Kind::Prediction,
                ts: ts.clone(),
                request_id: exchange.request_id.to_owned(),
                trace_id: exchange.trace.map(|trace| trace.to_string()),
                client: exchange.client.map(|client| client.to_string()),
                route: routes::label(exchange.route).to_owned(),
                app_version: identity.app_version.clone(),
                model_version: identity.manifest.model_version.clone(),
                image: index,
                images: answer.images.len(),
                input: Input::of(image, features),
                output: Output::of(prediction),
                ms: Milliseconds {
                    decode: milliseconds(timings.decode),
                    queue: milliseconds(timings.queue),
                    infer: milliseconds(timings.infer),
                },
                batch: answer.batch,
                pixels: is_sampled.then(|| STANDARD.encode(image.pixels())),
            };
            match serde_json::to_vec(&record) {
                Ok(mut line) => {
                    line.push(b'\n');
                    self.lines.send(line);
                }
                Err(error) => tracing::error!(%error, "a record cannot be written"),
            }
        }
    }

    /// The same request is sampled by every replica or by none.
    fn samples(&self, request_id: &str, index: usize) -> bool {
        let digest = Digest::of(format!("{request_id}/{index}").as_bytes()).hex();
        // Eight hex digits are a number below 2³².
        let draw = u32::from_str_radix(&digest[..8], 16).unwrap_or(u32::MAX);
        f64::from(draw) < self.pixels * f64::from(u32::MAX)
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("pixels", &self.pixels).finish_non_exhaustive()
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.flush();
    }
}
