//! [`Chosen`]: pictures that may be trained on. Where there are more than a limit allows, digests decide which, so that
//! neither who came first nor who asks most does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Cursor};
use std::path::Path;

use anyhow::{Context, bail};
use contract::atomic;
use contract::digest::Digest;
use contract::prediction::Label;
use contract::task::Task;
use image::{ExtendedColorType, ImageFormat};
use serde::Serialize;

use super::joined::{Joined, Picture};
use super::left::{Left, Why};

/// Beside the pictures, and versioned with them.
const REJECTED: &str = "rejected";

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Limits {
    pub(super) per_client: usize,
    pub(super) per_class: usize,
}

pub(super) struct Chosen {
    pub(super) new: BTreeMap<Digest, New>,
    /// In the folder already, by class.
    pub(super) before: Vec<usize>,
}

pub(super) struct New {
    pixels: Vec<u8>,
    pub(super) truth: Label,
    /// What the model said.
    pub(super) predicted: Label,
}

impl Chosen {
    pub(super) fn of(
        joined: Joined,
        task: &Task,
        folder: &Path,
        limits: Limits,
        left: &mut Left,
    ) -> anyhow::Result<Self> {
        let before = there(task, folder)?;
        let mut of_class = vec![0; task.classes.len()];
        for &label in before.values() {
            of_class[label] += 1;
        }
        let mut chosen = Self { new: BTreeMap::new(), before: of_class.clone() };
        let rejected = rejected(&folder.join(REJECTED))?;
        // What a caller had before counts, too, or each log would let him have as many again.
        let mut of_client: HashMap<Option<String>, usize> = HashMap::new();
        for (digest, Picture { labels, .. }) in &joined.0 {
            if before.get(digest) == Some(&labels[0].truth) {
                *of_client.entry(labels[0].client.clone()).or_default() += 1;
            }
        }
        for (digest, Picture { pixels, labels }) in joined.0 {
            let truth = labels[0].truth;
            let others = before.get(&digest).is_some_and(|&label| label != truth);
            if others || labels.iter().any(|labelled| labelled.truth != truth) {
                left.out(Why::Contradicted, labels.len());
                continue;
            }
            left.out(Why::Repeated, labels.len() - 1);
            let by = of_client.entry(labels[0].client.clone()).or_default();
            let why = if before.contains_key(&digest) {
                Some(Why::Repeated)
            } else if rejected.contains(&digest) {
                Some(Why::Rejected)
            } else if is_blank(&pixels, task.input.channels) {
                Some(Why::Blank)
            } else if *by >= limits.per_client {
                Some(Why::TooManyOfOneCaller)
            } else if of_class[truth] >= limits.per_class {
                Some(Why::TooManyOfTheClass)
            } else {
                None
            };
            if let Some(why) = why {
                left.out(why, 1);
                continue;
            }
            *by += 1;
            of_class[truth] += 1;
            chosen.new.insert(digest, New { pixels, truth, predicted: labels[0].predicted });
        }
        Ok(chosen)
    }

    /// Each picture appears whole or not at all; after an interruption the same command writes the rest.
    pub(super) fn write(&self, folder: &Path, task: &Task) -> anyhow::Result<()> {
        let side = |length| u32::try_from(length).context("a side of the task's pictures");
        let (width, height) = (side(task.input.width)?, side(task.input.height)?);
        let colour =
            if task.input.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        for (digest, New { pixels, truth, .. }) in &self.new {
            let class = folder.join(&task.classes[*truth]);
            fs_err::create_dir_all(&class)?;
            let mut png = Cursor::new(Vec::new());
            image::write_buffer_with_format(
                &mut png,
                pixels,
                width,
                height,
                colour,
                ImageFormat::Png,
            )?;
            atomic::write_file(&class.join(format!("{}.png", digest.hex())), png.get_ref())?;
        }
        Ok(())
    }
}

fn is_blank(pixels: &[u8], channels: usize) -> bool {
    pixels.chunks(channels).all(|pixel| pixel == &pixels[..channels])
}

/// Pictures that people removed, and that must not come back: their names without `.png`, one a line.
fn rejected(file: &Path) -> anyhow::Result<HashSet<Digest>> {
    let text = match fs_err::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error.into()),
    };
    let mut rejected = HashSet::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Ok(digest) = Digest::from_hex(line) else {
            bail!(
                "`{line}` in `{}` is no picture's name\n\nhint: one name a line, without .png",
                file.display()
            );
        };
        rejected.insert(digest);
    }
    Ok(rejected)
}

/// Labels of the pictures in the folder.
fn there(task: &Task, folder: &Path) -> io::Result<HashMap<Digest, Label>> {
    let mut there = HashMap::new();
    for (label, class) in task.classes.iter().enumerate() {
        let entries = match fs_err::read_dir(folder.join(class)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = entry?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".png"));
            if let Some(digest) = hex.and_then(|hex| Digest::from_hex(hex).ok()) {
                there.insert(digest, label);
            }
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labelled;
    use super::*;

    const TASK: &str = "
name: toy
title: A toy
input: { height: 8, width: 8, channels: 1 }
classes: [a, b]
normalisation: { mean: [0.5], std: [0.5] }
picture: cover
data: { name: toy, folders: { train: a, test: b } }
";

    fn pixels(fill: u8) -> Vec<u8> {
        let mut pixels = vec![fill; 64];
        pixels[0] = 255;
        pixels
    }

    /// A picture with the labels that callers gave it.
    type Told = (Vec<u8>, &'static [(Label, &'static str)]);

    fn joined(pictures: &[Told]) -> Joined {
        let labelled = |&(truth, client): &(Label, &str)| Labelled {
            truth,
            predicted: 0,
            model_version: "0123456789ab".to_owned(),
            client: (!client.is_empty()).then(|| client.to_owned()),
        };
        let picture = |(pixels, labels): &Told| {
            let labels = labels.iter().map(labelled).collect();
            (Digest::of(pixels), Picture { pixels: pixels.clone(), labels })
        };
        Joined(pictures.iter().map(picture).collect())
    }

    fn choose(joined: Joined, folder: &Path, limits: (usize, usize)) -> (Chosen, Left) {
        let mut left = Left::default();
        let limits = Limits { per_client: limits.0, per_class: limits.1 };
        let task = Task::from_yaml(TASK).unwrap();
        let chosen = Chosen::of(joined, &task, folder, limits, &mut left).unwrap();
        chosen.write(folder, &task).unwrap();
        (chosen, left)
    }

    #[test]
    fn a_picture_on_which_callers_disagree_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let (chosen, left) = choose(
            joined(&[
                (pixels(1), &[(0, "x"), (1, "y"), (0, "z")]),
                (pixels(2), &[(1, "x"), (1, "y")]),
                (vec![7; 64], &[(1, "x")]),
            ]),
            folder.path(),
            (10, 10),
        );
        assert_eq!(chosen.new.len(), 1);
        let expected = [(Why::Repeated, 1), (Why::Blank, 1), (Why::Contradicted, 3)];
        assert_eq!(left.labels, expected.into());
        // Nor against what is there.
        let (chosen, left) = choose(joined(&[(pixels(2), &[(0, "x")])]), folder.path(), (10, 10));
        assert_eq!((chosen.new.len(), left.labels), (0, [(Why::Contradicted, 1)].into()));
        let (chosen, left) = choose(joined(&[(pixels(2), &[(1, "z")])]), folder.path(), (10, 10));
        assert_eq!((chosen.new.len(), left.labels), (0, [(Why::Repeated, 1)].into()));
    }

    #[test]
    fn no_caller_and_no_class_has_more_than_its_limit_whoever_came_first() {
        let folder = tempfile::tempdir().unwrap();
        let of = |fills: std::ops::Range<u8>, client: &'static [(Label, &'static str)]| {
            fills.map(move |fill| (pixels(fill), client)).collect::<Vec<_>>()
        };
        let many = [of(0..20, &[(0, "x")]), of(20..40, &[(0, "")]), of(40..42, &[(1, "y")])];
        let (chosen, left) = choose(joined(&many.concat()), folder.path(), (5, 8));
        assert_eq!(chosen.new.values().filter(|new| new.truth == 0).count(), 8);
        assert_eq!(chosen.new.values().filter(|new| new.truth == 1).count(), 2);
        assert_eq!(left.labels.values().sum::<u64>(), 32);
        // What is there counts.
        let (chosen, left) = choose(joined(&of(50..60, &[(0, "z")])), folder.path(), (5, 8));
        assert_eq!(chosen.before, [8, 2]);
        assert_eq!((chosen.new.len(), left.labels), (0, [(Why::TooManyOfTheClass, 10)].into()));
        // Against who labelled it, too.
        let (chosen, left) = choose(joined(&of(0..20, &[(0, "x")])), folder.path(), (6, 100));
        let there = left.labels[&Why::Repeated];
        assert!(there > 0);
        assert_eq!(chosen.new.len() as u64, 6 - there);
    }

    #[test]
    fn what_people_rejected_does_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join(REJECTED);
        fs_err::write(&list, format!("{}\n\n", Digest::of(&pixels(1)).hex())).unwrap();
        let told = || joined(&[(pixels(1), &[(0, "x")]), (pixels(2), &[(0, "x")])]);
        let (chosen, left) = choose(told(), folder.path(), (10, 10));
        assert_eq!((chosen.new.len(), left.labels), (1, [(Why::Rejected, 1)].into()));
        fs_err::write(&list, "seven.png\n").unwrap();
        let error = rejected(&list).unwrap_err().to_string();
        assert!(error.contains("seven.png") && error.contains("hint: "), "{error}");
    }
}
