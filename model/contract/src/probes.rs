//! [`Probes`]: labelled pictures that decide whether a deployed model is fit. They come from Git,
//! never from the artifact under test.

use serde::{Deserialize, Serialize};

use crate::image::{Image, Shape};
use crate::prediction::Label;

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    pub schema: u32,
    /// Name of the task they belong to.
    pub task: String,
    /// Where the pictures came from, in words.
    pub origin: String,
    /// Share of probes that must be classified rightly, 0 to 1.
    pub threshold: f64,
    pub input: Shape,
    pub classes: Vec<String>,
    pub probes: Vec<Probe>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    pub label: Label,
    /// Pixels as hex, two digits each, `[height][width][channels]` row-major: a diff shows what changed.
    pub pixels: String,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidProbes {
    #[error("not a probe file: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("probe file: {0}")]
    Value(String),
}

impl Probe {
    pub fn new(label: Label, image: &Image) -> Self {
        use std::fmt::Write as _;
        let mut pixels = String::with_capacity(2 * image.pixels().len());
        for pixel in image.pixels() {
            write!(pixels, "{pixel:02x}").expect("writing to a String cannot fail");
        }
        Self { label, pixels }
    }
}

impl Probes {
    /// Parses a file and decodes its pictures, in the file's order.
    pub fn from_json(json: &[u8]) -> Result<(Self, Vec<(Label, Image)>), InvalidProbes> {
        let probes: Self = serde_json::from_slice(json)?;
        let wrong = |mistake: String| Err(InvalidProbes::Value(mistake));
        if probes.schema != SCHEMA {
            return wrong(format!("schema {}, this program reads {SCHEMA}", probes.schema));
        }
        if !(probes.threshold > 0.0 && probes.threshold <= 1.0) {
            return wrong(format!("threshold {} is not within 0..1", probes.threshold));
        }
        if probes.probes.is_empty() {
            return wrong("no probes".to_owned());
        }
        let mut images = Vec::with_capacity(probes.probes.len());
        for (index, probe) in probes.probes.iter().enumerate() {
            if probe.label >= probes.classes.len() {
                return wrong(format!("probe {index}: label {} is not a class", probe.label));
            }
            let image = decode_hex(&probe.pixels)
                .and_then(|pixels| Image::new(probes.input, pixels).ok())
                .ok_or_else(|| {
                    InvalidProbes::Value(format!(
                        "probe {index}: pixels are not the hex of a {} image",
                        probes.input
                    ))
                })?;
            images.push((probe.label, image));
        }
        Ok((probes, images))
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Probes {
        let input = Shape { height: 1, width: 2, channels: 1 };
        let image = Image::new(input, [0, 254]).unwrap();
        Probes {
            schema: SCHEMA,
            task: "toy".to_owned(),
            origin: "drawn for this test".to_owned(),
            threshold: 0.9,
            input,
            classes: vec!["a".to_owned(), "b".to_owned()],
            probes: vec![Probe::new(1, &image)],
        }
    }

    #[test]
    fn pictures_read_back_as_they_were() {
        let json = serde_json::to_vec(&file()).unwrap();
        let (probes, images) = Probes::from_json(&json).unwrap();
        assert_eq!(probes.probes[0].pixels, "00fe");
        assert_eq!((images[0].0, images[0].1.pixels()), (1, &[0, 254][..]));
    }

    #[test]
    fn a_file_that_could_never_fail_a_model_is_refused() {
        let check = |change: fn(&mut Probes), part: &str| {
            let mut probes = file();
            change(&mut probes);
            let error = Probes::from_json(&serde_json::to_vec(&probes).unwrap()).unwrap_err();
            assert!(error.to_string().contains(part), "`{part}` missing in: {error}");
        };
        check(|p| p.schema = 2, "schema 2");
        check(|p| p.threshold = 0.0, "threshold 0");
        check(|p| p.probes.clear(), "no probes");
        check(|p| p.probes[0].label = 2, "label 2");
        check(|p| p.probes[0].pixels.truncate(3), "probe 0");
        check(|p| p.probes[0].pixels = "zz00".to_owned(), "probe 0");
    }
}
