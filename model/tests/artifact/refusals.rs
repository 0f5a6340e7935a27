//! Each way in which an artifact can be wrong is found on opening, and named.

use std::path::Path;

use contract::artifact::{Artifact, EVALUATION, MANIFEST, MODEL, WEIGHTS};
use contract::digest::Digest;
use contract::manifest::ModelVersion;
use model::classifier::Classifier;

use crate::toy::{copy, write_to};

/// The whole chain of causes, as a user sees it.
fn refusal(path: &Path) -> String {
    let error = Classifier::open(path).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[test]
fn a_flipped_byte_in_any_file_is_found() {
    let (_folder, path) = copy();
    let names: Vec<String> =
        Artifact::open(&path).unwrap().manifest().files.keys().cloned().collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let file = path.join(&name);
        let whole = fs_err::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs_err::write(&file, flipped).unwrap();
        let refused = refusal(&path);
        assert!(refused.contains(&name) && refused.contains("was changed"), "{refused}");
        fs_err::write(&file, whole).unwrap();
    }
    Classifier::open(&path).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    for name in [MANIFEST, MODEL, WEIGHTS, EVALUATION, "MODEL_CARD.md"] {
        let (_folder, path) = copy();
        fs_err::remove_file(path.join(name)).unwrap();
        let refused = refusal(&path);
        assert!(refused.contains(name), "{refused}");
    }
}

/// Changes the manifest so that all digests fit again: what no digest can find.
pub(crate) fn forge(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let manifest = path.join(MANIFEST);
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs_err::read(&manifest).unwrap()).unwrap();
    change(&mut json);
    for name in json["files"].as_object().unwrap().keys().cloned().collect::<Vec<_>>() {
        let digest = Digest::of_file(&path.join(&name)).unwrap();
        json["files"][&name] = digest.to_string().into();
        if name == WEIGHTS {
            json["model_digest"] = digest.to_string().into();
            json["model_version"] = ModelVersion::of(&digest).to_string().into();
        }
    }
    fs_err::write(&manifest, serde_json::to_vec(&json).unwrap()).unwrap();
}

#[test]
fn a_manifest_of_another_schema_is_refused() {
    let (_folder, path) = copy();
    forge(&path, |json| json["schema"] = 2.into());
    let refused = refusal(&path);
    assert!(refused.contains("schema 2"), "{refused}");
}

#[test]
fn weights_that_the_manifest_does_not_describe_are_refused() {
    let check = |change: fn(&mut serde_json::Value), part: &str| {
        let (_folder, path) = copy();
        forge(&path, change);
        let refused = refusal(&path);
        assert!(refused.contains(part), "`{part}` missing in: {refused}");
    };
    check(|json| json["tensors"]["head.bias"] = vec![11].into(), "`head.bias` is [10], not [11]");
    check(
        |json| {
            json["tensors"].as_object_mut().unwrap().remove("head.bias");
        },
        "it does not name `head.bias`",
    );
    check(|json| json["tensors"]["extra"] = vec![1].into(), "`extra` is missing");
}

#[test]
fn a_model_that_is_no_torchscript_is_refused() {
    let (_folder, path) = copy();
    fs_err::write(path.join(MODEL), "not a zip").unwrap();
    forge(&path, |_| {});
    let refused = refusal(&path);
    assert!(refused.contains("not TorchScript"), "{refused}");
}

#[test]
fn a_model_for_other_images_or_classes_is_refused() {
    let check = |change: fn(&mut serde_json::Value), part: &str| {
        let (_folder, path) = copy();
        forge(&path, change);
        let refused = refusal(&path);
        assert!(refused.contains("does not classify") && refused.contains(part), "{refused}");
    };
    check(|json| json["task"]["input"]["height"] = 64.into(), "64×28×1");
    check(
        |json| {
            json["task"]["data"].as_object_mut().unwrap().remove("synthetic");
            json["task"]["data"]["name"] = "photos".into();
            json["task"]["data"]["folders"] = serde_json::json!({ "train": "a", "test": "b" });
            json["task"]["classes"].as_array_mut().unwrap().pop();
        },
        "9 classes",
    );
}

#[test]
fn the_weights_of_another_model_are_refused() {
    let (_folder, path) = copy();
    let folder = tempfile::tempdir().unwrap();
    let other = write_to(folder.path(), 1);
    fs_err::copy(other.join(WEIGHTS), path.join(WEIGHTS)).unwrap();
    let refused = refusal(&path);
    assert!(refused.contains(WEIGHTS) && refused.contains("was changed"), "{refused}");
}
