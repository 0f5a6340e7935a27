//! The classifier says what the trained net says, in any batch and on any thread.

use contract::artifact::Artifact;
use contract::image::{Image, Shape};
use contract::manifest::SourceRecord;
use contract::prediction::{Prediction, Scores};
use model::artifact::{Destination, write};
use model::classifier::Classifier;
use model::test_set::TestSet;

use crate::toy::{artifact, dataset, task, test_images, test_split, train};

fn assert_close(a: &[Scores], b: &[Scores]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        for (a, b) in a.probabilities().iter().zip(b.probabilities()) {
            assert!((a - b).abs() < 1e-5, "{a} beside {b}");
        }
    }
}

#[test]
fn an_artifact_says_of_itself_what_its_classifier_does() {
    let classifier = Classifier::open(artifact()).unwrap();
    let manifest = classifier.manifest();
    assert!(artifact().ends_with(format!("synthetic-digits-{}", manifest.model_version)));
    assert!(manifest.metrics.accuracy > 0.8, "{}", manifest.metrics.accuracy);
    let predicted: Vec<usize> = classifier
        .classify(&test_images(500))
        .unwrap()
        .into_iter()
        .map(|scores| Prediction::from(scores).label)
        .collect();
    let evaluation = Artifact::open(artifact()).unwrap().evaluation().unwrap();
    assert_eq!(evaluation.predicted(), predicted);
    assert_eq!(evaluation.suite(), "synthetic-digits/test");
    assert_eq!(manifest.metrics.misclassified, evaluation.misclassified());
    assert_eq!(manifest.baseline.ink.total(), 500);
    assert!(manifest.latency.iter().all(|latency| latency.microseconds_per_image > 0.0));
}

#[test]
fn the_batch_does_not_change_a_score() {
    let classifier = Classifier::open(artifact()).unwrap();
    let images = test_images(256);
    let at_once = classifier.classify(&images).unwrap();
    for batch in [1, 5, 7, 64] {
        let parts = images.chunks(batch).flat_map(|part| classifier.classify(part).unwrap());
        assert_close(&at_once, &parts.collect::<Vec<_>>());
    }
    assert!(classifier.classify(&[]).unwrap().is_empty());
}

#[test]
fn the_traced_model_is_the_trained_net() {
    let dataset = dataset();
    let trained = train(&dataset, 3);
    let folder = tempfile::tempdir().unwrap();
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Folder(folder.path().join("here"));
    let test = TestSet::new(test_split());
    let path = write(&trained, &task(), &dataset, test, source, &destination).unwrap();
    let scores = Classifier::open(&path).unwrap().classify(&test_images(100)).unwrap();
    let pixels = model::net::normalise(
        &test_split().pixels_tensor().narrow(0, 0, 100),
        &task().normalisation,
    );
    let expected = trained.net.forward_t(&pixels, false).softmax(-1, tch::Kind::Float);
    let expected: Vec<f32> = expected.flatten(0, -1).try_into().unwrap();
    let expected: Vec<Scores> =
        expected.chunks(10).map(|scores| Scores::new(scores).unwrap()).collect();
    assert_close(&scores, &expected);
}

#[test]
fn a_classifier_works_on_the_thread_it_is_sent_to() {
    let classifier = Classifier::open(artifact()).unwrap();
    let here = classifier.classify(&test_images(3)).unwrap();
    let there = std::thread::spawn(move || classifier.classify(&test_images(3)).unwrap());
    assert_close(&here, &there.join().unwrap());
}

#[test]
fn images_of_another_shape_are_refused_and_the_next_ones_answered() {
    let classifier = Classifier::open(artifact()).unwrap();
    let shape = Shape { height: 28, width: 28, channels: 3 };
    let wrong = Image::new(shape, vec![0; shape.len()]).unwrap();
    let error = classifier.classify(&[test_images(1)[0].clone(), wrong]).unwrap_err();
    assert_eq!(error.to_string(), "the model takes 28×28×1 images, not 28×28×3");
    assert_eq!(classifier.classify(&test_images(2)).unwrap().len(), 2);
}
