//! Cuts [`Probes`] out of labelled pictures and writes them one per line, so that a diff shows which
//! picture changed.

use std::fmt::Write as _;

use contract::image::Image;
use contract::prediction::Label;
use contract::probes::{Probe, Probes, SCHEMA};
use contract::task::{Generator, Task};

use crate::dataset::Split;
use crate::random::{self, Random};
use crate::synthetic::{self, Stream};

#[derive(Debug, thiserror::Error)]
pub enum CutError {
    #[error("class `{class}` has {found} test images, {wanted} are needed")]
    TooFew { class: String, found: usize, wanted: usize },
}

/// The same number of every class: `count`, rounded up to a multiple of the classes.
fn per_class(task: &Task, count: usize) -> usize {
    count.div_ceil(task.classes.len().max(1)).max(1)
}

/// Pictures that the generator draws for nothing else.
pub fn draw(task: &Task, generator: Generator, count: usize, seed: u64) -> Vec<(Label, Image)> {
    let count = per_class(task, count) * task.classes.len();
    let pictures = synthetic::draw(generator, task.input, Stream::Probes, count, seed);
    by_class(pictures.images().collect())
}

/// Test images by chance.
pub fn choose(
    task: &Task,
    test: &Split,
    count: usize,
    seed: u64,
) -> Result<Vec<(Label, Image)>, CutError> {
    let wanted = per_class(task, count);
    let images: Vec<Image> = test.images().collect();
    let mut chosen = Vec::new();
    for (label, class) in task.classes.iter().enumerate() {
        let mut members: Vec<usize> =
            (0..images.len()).filter(|&i| test.labels()[i] == label).collect();
        if members.len() < wanted {
            return Err(CutError::TooFew { class: class.clone(), found: members.len(), wanted });
        }
        Random::new([seed, random::PROBES, label as u64, 0]).shuffle(&mut members);
        chosen.extend(members[..wanted].iter().map(|&i| (label, images[i].clone())));
    }
    Ok(chosen)
}

fn by_class(mut pictures: Vec<(Label, Image)>) -> Vec<(Label, Image)> {
    pictures.sort_by_key(|(label, _)| *label);
    pictures
}

/// `origin` says in words where the pictures came from.
pub fn probes(task: &Task, pictures: &[(Label, Image)], threshold: f64, origin: String) -> Probes {
    Probes {
        schema: SCHEMA,
        task: task.name.clone(),
        origin,
        threshold,
        input: task.input,
        classes: task.classes.clone(),
        probes: pictures.iter().map(|(label, image)| Probe::new(*label, image)).collect(),
    }
}

/// JSON with one probe per line.
pub fn to_json(probes: &Probes) -> Result<String, serde_json::Error> {
    let head = serde_json::to_string_pretty(&Probes { probes: Vec::new(), ..probes.clone() })?;
    // The list is the last field, and empty.
    let mut json = head.trim_end_matches("[]\n}").to_owned();
    json.push('[');
    for (i, probe) in probes.probes.iter().enumerate() {
        let separator = if i == 0 { "\n" } else { ",\n" };
        write!(json, "{separator}    {}", serde_json::to_string(probe)?)
            .expect("writing to a String cannot fail");
    }
    json.push_str("\n  ]\n}\n");
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        let yaml = "
name: toy
title: A toy
input: { height: 28, width: 28, channels: 1 }
classes: [zero, one, two, three, four, five, six, seven, eight, nine]
normalisation: { mean: [0.13], std: [0.31] }
picture: centred-ink
data: { name: toy, synthetic: digits }
";
        Task::from_yaml(yaml).unwrap()
    }

    #[test]
    fn probes_hold_every_class_equally_and_read_back_one_per_line() {
        let task = task();
        let pictures = draw(&task, Generator::Digits, 64, 1);
        let json = to_json(&probes(&task, &pictures, 0.9, "drawn".to_owned())).unwrap();
        let (read, images) = Probes::from_json(json.as_bytes()).unwrap();
        assert!((read.threshold - 0.9).abs() < 1e-12);
        assert_eq!(images, pictures);
        for class in 0..10 {
            assert_eq!(images.iter().filter(|(label, _)| *label == class).count(), 7);
        }
        assert_eq!(json.lines().filter(|line| line.contains("\"pixels\"")).count(), 70);
    }

    #[test]
    fn chosen_test_images_keep_their_labels_and_differ_by_seed() {
        let task = task();
        let pictures = synthetic::draw(Generator::Digits, task.input, Stream::Test, 200, 1);
        let all: Vec<(Label, Image)> = pictures.images().collect();
        let labels = all.iter().map(|(label, _)| *label).collect();
        let test = Split::new(task.input, pictures.pixels, labels);
        let chosen = choose(&task, &test, 20, 1).unwrap();
        assert_eq!(chosen.len(), 20);
        assert!(chosen.iter().all(|picture| all.contains(picture)));
        assert_ne!(chosen, choose(&task, &test, 20, 2).unwrap());
        let error = choose(&task, &test, 210, 1).unwrap_err().to_string();
        assert_eq!(error, "class `zero` has 20 test images, 21 are needed");
    }
}
