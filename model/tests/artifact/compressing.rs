//! A compressed artifact is an artifact: of the same images, recorded, and a parent to others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::artifact::{Artifact, MODEL, WEIGHTS};
use contract::manifest::SourceRecord;
use contract::prediction::Scores;
use model::artifact::{Destination, write};
use model::classifier::Classifier;
use model::compress::{Parent, Wanted};
use model::test_set::TestSet;
use model::training::{Trained, Trainer};
use safetensors::{Dtype, SafeTensors};

use crate::refusals::forge;
use crate::toy::{artifact, copy, dataset, task, test_images, test_split};

const INT8: Wanted = Wanted { prune: 0.0, epochs: None, int8: true, threads: 1 };

fn compressed(parent: &Path, wanted: Wanted) -> Trained {
    let (plan, start) = Parent::open(parent).unwrap().compressed(wanted).unwrap();
    let dataset = dataset();
    start.demand(&dataset.record(&TestSet::new(test_split()))).unwrap();
    let mut trainer = Trainer::new(plan, Arc::clone(&dataset)).unwrap();
    start.apply(&mut trainer).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    trainer.finish()
}

fn written(trained: &Trained, folder: &Path, name: &str) -> PathBuf {
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Folder(folder.join(name));
    let test = TestSet::new(test_split());
    write(trained, &task(), &dataset(), test, source, &destination).unwrap()
}

fn scores(artifact: &Path) -> Vec<Scores> {
    Classifier::open(artifact).unwrap().classify(&test_images(500)).unwrap()
}

fn furthest(one: &[Scores], other: &[Scores]) -> f32 {
    let pairs = one.iter().zip(other);
    pairs
        .flat_map(|(a, b)| a.probabilities().iter().zip(b.probabilities()))
        .fold(0.0, |furthest, (a, b)| furthest.max((a - b).abs()))
}

#[test]
fn weights_in_8_bits_take_a_quarter_and_say_nearly_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&compressed(artifact(), INT8), folder.path(), "int8");
    let off = furthest(&scores(artifact()), &scores(&path));
    assert!(off > 0.0 && off < 0.05, "{off}");

    for name in [MODEL, WEIGHTS] {
        let size = |artifact: &Path| fs_err::metadata(artifact.join(name)).unwrap().len();
        assert!(size(&path) * 2 < size(artifact()), "{name}: {}", size(&path));
    }
    let bytes = fs_err::read(path.join(WEIGHTS)).unwrap();
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(weights.tensor("head.weight").unwrap().dtype(), Dtype::I8);
    assert_eq!(weights.tensor("head.weight.scale").unwrap().shape(), [10]);

    let (parent, child) = (Artifact::open(artifact()).unwrap(), Artifact::open(&path).unwrap());
    let (parent, child) = (parent.manifest(), child.manifest());
    let compression = child.compression.as_ref().unwrap();
    assert_eq!(compression.parent, parent.model_version);
    assert_eq!(child.training.finished_at, parent.training.finished_at, "nothing was trained");
    assert_eq!(child.training.config, parent.training.config);
    let card = fs_err::read_to_string(path.join("MODEL_CARD.md")).unwrap();
    assert!(card.contains(&format!("| compressed from | `{}`", parent.model_version)), "{card}");
}

#[test]
fn what_was_compressed_can_be_compressed_again() {
    let folder = tempfile::tempdir().unwrap();
    let int8 = written(&compressed(artifact(), INT8), folder.path(), "int8");
    let pruned = compressed(&int8, Wanted { prune: 0.5, epochs: Some(1), ..INT8 });
    let pruned = written(&pruned, folder.path(), "pruned");
    let manifest = Artifact::open(&pruned).unwrap().manifest().clone();
    assert_eq!(manifest.tensors["blocks.1.conv.weight"], [8, 4, 3, 3]);
    assert!(manifest.metrics.accuracy > 0.7, "{}", manifest.metrics.accuracy);
    // Packed once more, the weights are those that they were.
    let again = written(&compressed(&pruned, INT8), folder.path(), "again");
    let off = furthest(&scores(&pruned), &scores(&again));
    assert!(off < 1e-3, "{off}");
}

#[test]
fn weights_of_another_net_than_the_recipes_are_refused() {
    let check = |change: fn(&mut serde_json::Value), told: &str| {
        let (_folder, path) = copy();
        forge(&path, change);
        let error = Parent::open(&path).unwrap_err();
        let error = contract::causes::sentence(anyhow::Error::new(error).chain());
        assert!(error.contains(told), "{error}");
    };
    check(
        |json| json["training"]["config"]["net"]["blocks"][0]["channels"] = 9.into(),
        "holds no net of the artifact's recipe",
    );
    check(
        |json| {
            json["training"]["config"]["net"]["blocks"].as_array_mut().unwrap().pop();
        },
        "`head.weight` is not",
    );
    check(|json| json["training"]["config"] = serde_json::Value::Null, "manifest.json");
}

#[test]
fn a_share_that_is_no_channel_and_images_that_the_parent_did_not_see_are_refused() {
    let parent = || Parent::open(artifact()).unwrap();
    let nothing = parent().compressed(Wanted { prune: 0.01, ..INT8 }).unwrap_err().to_string();
    assert!(nothing.contains("[8, 16]") && nothing.contains("hint: "), "{nothing}");

    let (_, start) = parent().compressed(INT8).unwrap();
    let mut data = dataset().record(&TestSet::new(test_split()));
    data.validation += 1;
    let other = start.demand(&data).unwrap_err().to_string();
    assert!(other.contains("synthetic-digits") && other.contains("hint: "), "{other}");
}
