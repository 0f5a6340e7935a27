//! Training on a few generated digits: that it learns, repeats itself, and goes on where it stopped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::digest::Digest;
use contract::image::Shape;
use contract::prediction::Label;
use contract::task::{Generator, Normalisation};
use model::checkpoint::Checkpoint;
use model::dataset::{Dataset, Split};
use model::recipe::Recipe;
use model::synthetic::{Stream, draw};
use model::training::{Plan, Trained, Trainer, TrainingError};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Two parts of 16 images to a step, an average, a momentum and all kinds of augmentation: whatever
/// has a state or random numbers.
const RECIPE: &str = "
net:
  blocks:
    - { channels: 8, kernel: 5, stride: 2, padding: none }
    - { channels: 16, stride: 2 }
  head: flatten
epochs: 3
batch: 32
ghost_batch: 16
schedule: { peak: 0.1 }
label_smoothing: 0.05
average: { decay: 0.9 }
augment:
  rotate: 5
  shift: 1
  elastic: { amplitude: 0.5 }
  erase: { probability: 0.2 }
";
const SHAPE: Shape = Shape { height: 28, width: 28, channels: 1 };

fn split(stream: Stream, count: usize) -> Split {
    let pictures = draw(Generator::Digits, SHAPE, stream, count, 0);
    Split::new(SHAPE, pictures.pixels, pictures.labels.into_iter().map(Label::from).collect())
}

fn dataset() -> Arc<Dataset> {
    Arc::new(Dataset {
        added: 0,
        name: "synthetic-digits".to_owned(),
        digest: Digest::of(b"not asked for here"),
        shape: SHAPE,
        classes: 10,
        train: split(Stream::Train, 1000),
        validation: split(Stream::Test, 300),
    })
}

fn plan(recipe: &str, seed: u64, threads: usize) -> Plan {
    Plan {
        recipe: Recipe::from_yaml(recipe, Path::new("test.yaml")).unwrap(),
        recipe_name: "test".to_owned(),
        normalisation: Normalisation { mean: vec![0.13], std: vec![0.31] },
        seed,
        threads,
        device: Device::Cpu,
        compression: None,
    }
}

fn train(plan: Plan, dataset: &Arc<Dataset>) -> Trained {
    let mut trainer = Trainer::new(plan, Arc::clone(dataset)).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    trainer.finish()
}

fn bits(vars: &VarStore) -> BTreeMap<String, Vec<u32>> {
    let bits = |(name, tensor): (String, Tensor)| {
        let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1).contiguous()).unwrap();
        (name, values.into_iter().map(f32::to_bits).collect())
    };
    vars.variables().into_iter().map(bits).collect()
}

#[test]
fn a_thousand_digits_are_enough_to_learn_from() {
    let trained = train(plan(RECIPE, 0, 2), &dataset());
    let [first, .., last] = &trained.epochs[..] else { panic!("{:?}", trained.epochs) };
    assert!(last.validation_accuracy > 0.85, "{last:?}");
    assert!(last.train_loss < first.train_loss && last.validation_loss < 0.7, "{first:?} {last:?}");
}

#[test]
fn the_seed_decides_the_weights_and_the_threads_do_not() {
    let dataset = dataset();
    let first = train(plan(RECIPE, 1, 1), &dataset);
    let same = train(plan(RECIPE, 1, 3), &dataset);
    let other = train(plan(RECIPE, 2, 1), &dataset);
    assert_eq!(bits(&first.vars), bits(&same.vars));
    assert_ne!(bits(&first.vars), bits(&other.vars));
}

#[test]
fn a_training_stopped_at_any_step_goes_on_bit_for_bit() {
    let dataset = dataset();
    let sgd = RECIPE.to_owned();
    let adam_w = sgd.replace("schedule: { peak: 0.1 }", "schedule: { peak: 0.003 }")
        + "optimiser: { kind: adam-w, beta1: 0.9, beta2: 0.99, weight_decay: 0.01 }\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    // In the first step, within an epoch, at its end, after it, at the end of all.
    for (recipe, stops) in [(sgd, &[0, 1, 17, 31, 32, 93][..]), (adam_w, &[40])] {
        let straight = train(plan(&recipe, 0, 2), &dataset);
        let mut trainer = Trainer::new(plan(&recipe, 0, 2), Arc::clone(&dataset)).unwrap();
        for &stop in stops {
            while trainer.progress().step < stop {
                trainer.step().unwrap();
            }
            trainer.checkpoint().write(&path).unwrap();
            trainer = Trainer::new(plan(&recipe, 0, 2), Arc::clone(&dataset)).unwrap();
            trainer.restore(&Checkpoint::read(&path).unwrap().unwrap()).unwrap();
        }
        while !trainer.is_finished() {
            trainer.step().unwrap();
        }
        let resumed = trainer.finish();
        assert_eq!(bits(&resumed.vars), bits(&straight.vars));
        for (resumed, straight) in resumed.epochs.iter().zip(&straight.epochs) {
            let bits = [resumed, straight].map(|epoch| {
                [epoch.train_loss, epoch.train_accuracy, epoch.validation_loss].map(f64::to_bits)
            });
            assert_eq!(bits[0], bits[1]);
        }
    }
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused() {
    let dataset = dataset();
    let trainer = |recipe: &str| Trainer::new(plan(recipe, 0, 1), Arc::clone(&dataset)).unwrap();
    let checkpoint = trainer(RECIPE).checkpoint();
    let without_average = RECIPE.replace("average: { decay: 0.9 }\n", "");
    let wider = RECIPE.replace("channels: 16", "channels: 24");
    for recipe in [without_average, wider] {
        let error = trainer(&recipe).restore(&checkpoint).unwrap_err();
        assert!(matches!(error, TrainingError::Checkpoint(_)), "{error}");
    }
}

#[test]
fn a_damaged_checkpoint_is_an_error_and_a_missing_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    assert!(Checkpoint::read(&path).unwrap().is_none());
    let trainer = Trainer::new(plan(RECIPE, 0, 1), dataset()).unwrap();
    trainer.checkpoint().write(&path).unwrap();
    let whole = fs_err::read(&path).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"{}"] {
        fs_err::write(&path, damaged).unwrap();
        let error = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(error.contains("checkpoint") && error.contains("hint: "), "{error}");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_training() {
    let wild = RECIPE.replace("peak: 0.1", "peak: 1.0e+30");
    let mut trainer = Trainer::new(plan(&wild, 0, 1), dataset()).unwrap();
    let error = loop {
        match trainer.step() {
            Ok(_) => assert!(!trainer.is_finished(), "it went on to the end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TrainingError::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("hint: a lower `schedule.peak`"), "{error}");
}

#[test]
fn the_folded_net_is_the_same_function() {
    let trained = train(plan(RECIPE, 0, 2), &dataset());
    let images = Tensor::randn([64, 1, 28, 28], (Kind::Float, Device::Cpu));
    let difference = tch::no_grad(|| {
        let logits = trained.net.forward_t(&images, false);
        (trained.net.folded().forward(&images) - logits).abs().max().double_value(&[])
    });
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn every_variable_says_where_it_belongs() {
    let trained = Trainer::new(plan(RECIPE, 0, 1), dataset()).unwrap().finish();
    let mut names: Vec<String> = trained.vars.variables().into_keys().collect();
    names.sort();
    let block = |i: usize| {
        ["conv.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.weight"]
            .map(|name| format!("blocks.{i}.{name}"))
    };
    let head = ["head.bias", "head.weight"].map(str::to_owned).to_vec();
    assert_eq!(names, [block(0).to_vec(), block(1).to_vec(), head].concat());
}
