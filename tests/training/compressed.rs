//! A compressed model is a model like any other, whoever asks.

use std::path::{Path, PathBuf};

use contract::artifact::Artifact;
use contract::run::Record;
use e2e::data;
use e2e::http::Http;
use e2e::model::{quick, train};
use e2e::process::{Ended, command, run, xtask};
use e2e::repo;
use e2e::server::Server;
use serde_json::{Value, json};

/// `cargo xtask compress`, with the data where `cargo xtask test` keeps it; all that it makes lies in `home`.
fn compress(artifact: &Path, home: &Path, args: &[&str]) -> Ended {
    let mirror = data::folder(&data::task());
    let mut xtask = xtask(home);
    xtask.arg("compress").arg(artifact).args(args);
    run(xtask.arg("--mirror").arg(mirror))
}

/// What an artifact says of itself when `model evaluate` asks it once more.
fn accuracy(artifact: &Path) -> f64 {
    let mut evaluate = command(repo::release_binary("model"), &repo::root());
    evaluate.arg("evaluate").arg("--artifact").arg(artifact).args(["--task", "model/task.yaml"]);
    evaluate.arg("--data-dir").arg(data::folder(&data::task()));
    let printed: Value = serde_json::from_str(&run(&mut evaluate).success().stdout).unwrap();
    printed["accuracy"].as_f64().unwrap()
}

#[test]
fn half_the_channels_in_8_bits_are_served_and_evaluated_like_any_model() {
    let folder = tempfile::tempdir().unwrap();
    let parent = quick();
    let ended =
        compress(parent.path(), folder.path(), &["--prune", "0.5", "--int8", "--epochs", "1"]);
    let ended = ended.success();
    let path = PathBuf::from(ended.stdout.trim_end());
    let artifact = Artifact::open(&path).unwrap();
    let manifest = artifact.manifest();

    let compression = manifest.compression.as_ref().unwrap();
    assert_eq!(compression.parent, parent.manifest().model_version);
    let size = |artifact: &Artifact| fs_err::metadata(artifact.model()).unwrap().len();
    assert!(6 * size(&artifact) < size(&parent), "{} of {}", size(&artifact), size(&parent));
    assert!(manifest.metrics.accuracy > 0.97, "{}", manifest.metrics.accuracy);
    assert!((accuracy(&path) - manifest.metrics.accuracy).abs() < 1e-9);
    for version in [&compression.parent, &manifest.model_version] {
        let row = format!("| `{version}`");
        assert!(ended.stderr.contains(&row), "no {row} in\n{}", ended.stderr);
    }
    assert!(!folder.path().join("artifacts/latest").exists(), "it is used where it is named");

    let runs = fs_err::read_dir(folder.path().join("runs")).unwrap();
    let runs: Vec<PathBuf> = runs.map(|run| run.unwrap().path()).collect();
    let record = Record::read(&runs[0]).unwrap();
    assert_eq!(record.param("compression.parent"), Some(compression.parent.as_str()));

    let server = Server::start(&path, &[]);
    let images = data::test_images().into_iter().take(100);
    let right = images.filter(|(label, image)| {
        let body = json!({ "image": image.pixels() });
        let reply = Http::default().post_json(&server.url("/v1/predict"), &body).unwrap().json();
        assert_eq!(reply["model_version"], manifest.model_version.as_str());
        reply["label"] == *label
    });
    assert!(right.count() > 95);
}

#[test]
fn what_cannot_be_compressed_is_told_with_a_way_on_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let parent = quick();
    let spoiled = folder.path().join("spoiled");
    repo::copy(parent.path(), &spoiled);
    let weights = spoiled.join("weights.safetensors");
    let mut bytes = fs_err::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&weights, bytes).unwrap();
    let toy = data::toy();

    let home = folder.path().join("home");
    let refused = |artifact: &Path, args: &[&str], told: &[&str]| {
        let ended = compress(artifact, &home, args);
        assert!(ended.code != Some(0) && ended.stdout.is_empty(), "{args:?}");
        for part in told {
            assert!(ended.stderr.contains(part), "no `{part}` in {}", ended.stderr);
        }
        assert!(!home.join("artifacts").exists() && !home.join("runs").exists());
    };
    let hint = "hint: ";
    refused(&spoiled, &["--int8"], &["weights.safetensors", "was changed", hint]);
    refused(&folder.path().join("nothing"), &["--int8"], &["is not an artifact", hint]);
    refused(parent.path(), &[], &["--prune <SHARE>|--int8"]);
    refused(parent.path(), &["--prune", "1.5"], &["not above 0 and below 1"]);
    refused(parent.path(), &["--prune", "0.001"], &["no channel", "[16, 32, 48]", hint]);
    let task = ["--int8", "--task", toy.to_str().unwrap()];
    refused(parent.path(), &task, &["was trained on", "`--task FILE`"]);
}

#[test]
#[ignore = "slow: compresses five times; a killed training is tried out always"]
fn a_killed_compression_leaves_no_artifact_and_resumes_to_the_very_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let toy = data::toy();
    let parent = folder.path().join("parent");
    train(&parent, &["--task", toy.to_str().unwrap(), "--recipe", "quick"]);
    super::kill_and_resume(folder.path(), || {
        let mut model = command(repo::release_binary("model"), folder.path());
        model.arg("compress").arg(&parent).args(["--prune", "0.25", "--int8", "--threads", "2"]);
        model.arg("--task").arg(&toy).arg("--synthetic");
        model
    });
}
