//! Every plot is well-formed XML whatever a model did and whatever its classes are called.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use contract::image::{Image, Shape};
use contract::manifest::ReliabilityBin;
use contract::prediction::{Prediction, Scores};
use contract::replay::{Answer, Flip};
use model::dataset::Split;
use model::plots;
use model::training::Epoch;
use roxmltree::Document;

const SUITE: &str = "toy/test";

/// Parses, checks that nothing has an impossible coordinate, and returns all text.
#[track_caller]
fn check(svg: &str) -> String {
    let document = Document::parse(svg).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    for attribute in document.descendants().flat_map(|node| node.attributes()) {
        let value = attribute.value();
        let coordinates = !attribute.name().contains("href");
        assert!(!(coordinates && (value.contains("NaN") || value.contains("inf"))), "{value}");
    }
    let texts: Vec<&str> = document
        .descendants()
        .filter(roxmltree::Node::is_text)
        .filter_map(|node| node.text())
        .collect();
    texts.join("\n")
}

fn names(count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|i| format!("class {i}")).collect();
    "<b> & \"c\" \u{8}".clone_into(&mut names[0]);
    names
}

fn epoch(epoch: u32, loss: f64, accuracy: f64) -> Epoch {
    let (train_loss, validation_loss) = (loss, loss);
    let (train_accuracy, validation_accuracy) = (accuracy, accuracy);
    let learning_rate = 0.1;
    Epoch {
        epoch,
        train_loss,
        train_accuracy,
        validation_loss,
        validation_accuracy,
        learning_rate,
        seconds: 1.0,
        timestamp: 0,
    }
}

#[test]
fn learning_curves_bear_one_epoch_many_and_none_at_all() {
    check(&plots::learning_curves("toy", &[]));
    check(&plots::learning_curves("toy", &[epoch(1, 0.3, 0.9)]));
    check(&plots::learning_curves("toy", &[epoch(1, 0.0, 1.0), epoch(2, f64::INFINITY, 0.0)]));
    let many: Vec<Epoch> = (1..=300).map(|i| epoch(i, 1.0 / f64::from(i), 0.9)).collect();
    let text = check(&plots::learning_curves("toy", &many));
    assert!(text.contains("loss (nats)") && text.contains("error (% of images)"), "{text}");
}

#[test]
fn a_confusion_matrix_bears_two_classes_and_a_hundred() {
    for classes in [2, 10, 100] {
        let mut counts = vec![vec![0; classes]; classes];
        counts[0][1] = 123;
        let text = check(&plots::confusion(SUITE, &names(classes), &counts));
        assert!(text.contains("<b> & \"c\"") && text.contains("Confusion on toy/test"), "{text}");
        assert_eq!(classes < 20, text.contains("123"));
    }
}

#[test]
fn a_reliability_diagram_bears_empty_bins() {
    let empty = ReliabilityBin { count: 0, mean_confidence: 0.0, accuracy: 0.0 };
    check(&plots::reliability(SUITE, &[empty; 15], 0.0));
    let full = ReliabilityBin { count: 9000, mean_confidence: 0.99, accuracy: 0.98 };
    let text = check(&plots::reliability(SUITE, &[empty, empty, full], 0.0123));
    assert!(text.contains("calibration error 1.23 %"), "{text}");
    assert!(text.contains("Reliability on toy/test"), "{text}");
}

#[test]
fn the_worst_mistakes_are_the_most_confident_ones_and_only_mistakes() {
    let shape = Shape { height: 8, width: 8, channels: 3 };
    let split = Split::new(shape, vec![7; 4 * shape.len()], vec![0, 0, 1, 1]);
    let scores = [[0.4, 0.6], [0.1, 0.9], [0.0, 1.0], [0.7, 0.3]];
    let predictions: Vec<Prediction> =
        scores.iter().map(|scores| Scores::new(*scores).unwrap().into()).collect();
    let worst = plots::worst(&split, &predictions, 2);
    assert_eq!(worst.iter().map(|mistake| mistake.position).collect::<Vec<_>>(), [1, 3]);
    let text = check(&plots::mistakes(SUITE, &names(2), &worst, 3));
    assert!(text.contains("The 2 worst of 3 mistakes on toy/test"), "{text}");
    assert!(text.contains("90 %  #1"), "{text}");
    assert!(check(&plots::mistakes(SUITE, &names(2), &[], 0)).contains("No mistakes"));
}

#[test]
fn flips_show_both_answers_and_say_how_many_are_not_shown() {
    let image = Image::new(Shape { height: 8, width: 8, channels: 3 }, vec![7; 192]).unwrap();
    let answer = |label, confidence| Answer { label, confidence };
    let flip = Flip {
        request_id: "of somebody".to_owned(),
        image: 0,
        ts: "yesterday".to_owned(),
        champion: answer(1, 0.6),
        candidate: answer(9, 0.875),
    };
    let text = check(&plots::flips(&names(2), &[(flip, image)], 3));
    assert!(text.contains("1 of 3 flips") && text.contains("class 1 → ?"), "{text}");
    assert!(text.contains("#1 60 → 88 %"), "{text}");
    assert!(check(&plots::flips(&names(2), &[], 0)).contains("No flips"));
}

#[test]
fn a_sheet_names_every_picture() {
    let shape = Shape { height: 8, width: 8, channels: 1 };
    let image = Image::new(shape, vec![255; 64]).unwrap();
    let pictures: Vec<(usize, Image)> = (0..30).map(|i| (i % 3, image.clone())).collect();
    let text = check(&plots::sheet(&names(3), &pictures));
    assert_eq!(text.matches("class 2").count(), 10);
}
