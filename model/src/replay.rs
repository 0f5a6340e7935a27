//! Records of a service, answered again by two models: what would have become otherwise.
//!
//! Memory holds the flips and a digest per picture, however long the records are.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::digest::Digest;
use contract::image::{Image, Shape};
use contract::prediction::{Label, Prediction};
use contract::record::log::Log;
use contract::record::skip::Skip;
use contract::record::{Kind, SCHEMA};
use contract::replay::{Answer, Flip, Replay};
use serde::Deserialize;

use crate::classifier::{Classifier, ClassifierError};

/// Answered at once.
const BATCH: usize = 256;
/// Of the flips, those that are drawn.
const DRAWN: usize = 72;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the candidate classifies {candidate}, the champion {champion}")]
    Tasks { candidate: String, champion: String },
    #[error("the records cannot be read")]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
}

/// A picture that a service was sent, and where its record is.
struct Asked {
    request_id: String,
    image: usize,
    ts: String,
    digest: Digest,
    picture: Image,
}

/// What a record holds and is not here is passed over unread.
#[derive(Deserialize)]
struct Line {
    schema: u32,
    #[serde(rename = "kind")]
    _kind: Kind,
    ts: String,
    request_id: String,
    image: usize,
    input: Input,
    pixels: Option<String>,
}

#[derive(Deserialize)]
struct Input {
    sha256: Digest,
}

/// Replays all sampled pictures of `logs`, each once; the flips that a sheet shows come with their pictures. `labelled`
/// says what people called a picture, by the digest of its pixels.
pub fn replay(
    candidate: &Classifier,
    champion: &Classifier,
    logs: &[PathBuf],
    labelled: &BTreeMap<Digest, Label>,
) -> Result<(Replay, Vec<(Flip, Image)>), ReplayError> {
    let task = |model: &Classifier| {
        let task = &model.manifest().task;
        format!("{} images into {:?}", task.input, task.classes)
    };
    if task(candidate) != task(champion) {
        let (candidate, champion) = (task(candidate), task(champion));
        return Err(ReplayError::Tasks { candidate, champion });
    }
    let mut replayer = Replayer {
        candidate,
        champion,
        labelled,
        seen: HashSet::new(),
        waiting: Vec::new(),
        drawn: Vec::new(),
        replay: Replay {
            candidate: candidate.manifest().model_version.clone(),
            champion: champion.manifest().model_version.clone(),
            images: 0,
            flips: Vec::new(),
            corrected: Vec::new(),
            skipped: BTreeMap::new(),
        },
    };
    for path in logs {
        let mut log = Log::open(path)?;
        while let Some(line) = log.next_line()? {
            replayer.read(line)?;
        }
    }
    replayer.answer()?;
    let Replayer { mut replay, mut drawn, .. } = replayer;
    replay.flips.sort_by(surer);
    replay.corrected.sort_by(surer);
    keep_surest(&mut drawn);
    Ok((replay, drawn))
}

struct Replayer<'a> {
    candidate: &'a Classifier,
    champion: &'a Classifier,
    labelled: &'a BTreeMap<Digest, Label>,
    seen: HashSet<Digest>,
    waiting: Vec<Asked>,
    drawn: Vec<(Flip, Image)>,
    replay: Replay,
}

impl Replayer<'_> {
    fn read(&mut self, line: Result<&[u8], Skip>) -> Result<(), ReplayError> {
        let shape = self.candidate.manifest().task.input;
        match line.and_then(|line| asked(line, shape)) {
            Ok(asked) if !self.seen.insert(asked.digest) => self.skip(Skip::Repeated),
            Ok(asked) => self.waiting.push(asked),
            Err(skip) => self.skip(skip),
        }
        if self.waiting.len() < BATCH { Ok(()) } else { self.answer() }
    }

    fn skip(&mut self, skip: Skip) {
        *self.replay.skipped.entry(skip).or_default() += 1;
    }

    fn answer(&mut self) -> Result<(), ReplayError> {
        let waiting = std::mem::take(&mut self.waiting);
        let pictures: Vec<Image> = waiting.iter().map(|asked| asked.picture.clone()).collect();
        let answers = |model: &Classifier| {
            let scores = model.classify(&pictures)?;
            Ok::<_, ClassifierError>(scores.into_iter().map(Prediction::from))
        };
        let both = answers(self.champion)?.zip(answers(self.candidate)?);
        for (asked, (champion, candidate)) in waiting.into_iter().zip(both) {
            self.replay.images += 1;
            if champion.label == candidate.label {
                continue;
            }
            let Asked { request_id, image, ts, digest, picture } = asked;
            let (champion, candidate) = (Answer::from(&champion), Answer::from(&candidate));
            let flip = Flip { request_id, image, ts, champion, candidate };
            if self.labelled.get(&digest) == Some(&candidate.label) {
                self.replay.corrected.push(flip);
                continue;
            }
            self.replay.flips.push(flip.clone());
            self.drawn.push((flip, picture));
        }
        keep_surest(&mut self.drawn);
        Ok(())
    }
}

fn surer(one: &Flip, other: &Flip) -> std::cmp::Ordering {
    other.candidate.confidence.total_cmp(&one.candidate.confidence)
}

fn keep_surest(drawn: &mut Vec<(Flip, Image)>) {
    drawn.sort_by(|(one, _), (other, _)| surer(one, other));
    drawn.truncate(DRAWN);
}

fn asked(line: &[u8], shape: Shape) -> Result<Asked, Skip> {
    let Ok(line_read) = serde_json::from_slice::<Line>(line) else {
        return Err(Skip::unread(line));
    };
    let Line { schema, ts, request_id, image, input, pixels, .. } = line_read;
    if schema != SCHEMA {
        return Err(Skip::OtherSchema);
    }
    let pixels = pixels.ok_or(Skip::Unsampled)?;
    let Ok(pixels) = STANDARD.decode(pixels) else { return Err(Skip::Malformed) };
    if Digest::of(&pixels) != input.sha256 {
        return Err(Skip::OtherPixels);
    }
    let picture = Image::new(shape, pixels).or(Err(Skip::OtherPixels))?;
    Ok(Asked { request_id, image, ts, digest: input.sha256, picture })
}
