//! PyTorch in Python loads what we traced and says the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use e2e::data;
use e2e::model::quick;
use e2e::process::{command, run};
use e2e::repo;

/// On the same images, with the scores that `model classify` gives.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` says where its Python is")]
fn check(artifact: &Path) {
    let python = std::env::var("E2E_PYTHON").expect("run by `cargo xtask test`");
    let images: Vec<u8> = data::test_images()
        .into_iter()
        .take(256)
        .flat_map(|(_, image)| image.pixels().to_vec())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("images");
    fs_err::write(&file, images).unwrap();

    let mut classify = command(repo::release_binary("model"), &repo::root());
    classify.arg("classify").arg("--artifact").arg(artifact).arg("--images").arg(&file);
    let scores = folder.path().join("scores.json");
    fs_err::write(&scores, run(&mut classify).success().stdout).unwrap();

    let mut compare = command(PathBuf::from(python), &repo::root());
    compare.arg("model/tests/python/compare.py").arg("--artifact").arg(artifact);
    let ended = run(compare.arg("--images").arg(&file).arg("--scores").arg(&scores)).success();
    for batch in ["1", "7", "256"] {
        assert!(ended.stdout.contains(&format!("batch {batch}:")), "{}", ended.stdout);
    }
}

#[test]
fn pytorch_gives_the_same_scores_at_any_batch_size() {
    check(quick().path());
}

#[test]
fn weights_in_8_bits_say_the_same_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("int8");
    let mut compress = command(repo::release_binary("model"), folder.path());
    compress.arg("compress").arg(quick().path()).arg("--int8").arg("--out").arg(&out);
    compress.arg("--task").arg(repo::root().join("model/task.yaml"));
    run(compress.arg("--data-dir").arg(data::folder(&data::task()))).success();
    check(&out);
}
