//! From what a service was asked to whether its world has moved.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use contract::image::Image;
use e2e::data;
use e2e::http::Http;
use e2e::model::quick;
use e2e::process::{Ended, run, run_without_a_reader, xtask};
use e2e::repo;
use e2e::server::Server;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// Enough for a verdict.
const IMAGES: usize = 512;
/// In one request.
const TOGETHER: usize = 32;

/// What a service remembers of these.
fn records(folder: &Path, images: &[Image]) -> PathBuf {
    let path = folder.join("predictions.jsonl");
    let server = Server::start(quick().path(), &["--records", path.to_str().unwrap()]);
    let http = Http::default();
    for images in images.chunks(TOGETHER) {
        let body = json!({ "images": images.iter().map(Image::pixels).collect::<Vec<_>>() });
        let reply = http.post_json(&server.url("/v1/predict/batch"), &body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.json());
    }
    let mut server = server;
    server.signal("TERM");
    server.ended();
    path
}

fn real() -> Vec<Image> {
    data::test_images().into_iter().take(IMAGES).map(|(_label, image)| image).collect()
}

fn drift(logs: &[&Path], args: &[&str]) -> Ended {
    let artifact = quick();
    let mut drift = xtask(&repo::home());
    drift.arg("drift").args(logs).arg("--model").arg(artifact.path()).args(args);
    run(&mut drift)
}

#[test]
fn pictures_like_those_of_the_test_have_not_drifted_and_faded_ones_have() {
    let folder = tempfile::tempdir().unwrap();
    let records = |name: &str, images: &[Image]| {
        let folder = folder.path().join(name);
        fs_err::create_dir(&folder).unwrap();
        records(&folder, images)
    };
    let like = records("like", &real());
    let told = drift(&[&like], &[]).success().stdout;
    assert!(told.contains("**Nothing drifted.**"), "{told}");
    assert!(told.contains("512 images of records beside 10000"), "{told}");

    let fade = |image: &Image| {
        let faded: Vec<u8> = image.pixels().iter().map(|pixel| pixel / 3).collect();
        Image::new(image.shape(), faded).unwrap()
    };
    let faded = records("faded", &real().iter().map(fade).collect::<Vec<_>>());
    let picture = folder.path().join("drift.svg");
    let svg = picture.to_str().unwrap();
    let found = drift(&[&faded], &["--format", "json", "--svg", svg]);
    assert_eq!(found.code, Some(5), "{}", found.stderr);
    assert!(found.stderr.contains("ink"), "{}", found.stderr);
    // Whoever leaves before the end learns that, too.
    let mut unread = xtask(&repo::home());
    unread.arg("drift").arg(&faded).arg("--model").arg(quick().path());
    assert_eq!(run_without_a_reader(&mut unread).code, Some(5));
    let report: Value = serde_json::from_str(&found.stdout).unwrap();
    let ink = report["signals"].as_array().unwrap().iter().find(|s| s["signal"] == "ink").unwrap();
    assert!(ink["drifted"] == true && ink["psi"].as_f64().unwrap() > 1.0, "{report:#}");
    assert!(fs_err::read_to_string(&picture).unwrap().contains("drifted"));
}

#[test]
fn what_cannot_be_counted_is_told_by_its_reason_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs_err::read_to_string(records(folder.path(), &real())).unwrap();
    let first = good.lines().next().unwrap();
    let altered = |key: &str, value: Value| {
        let mut record: Value = serde_json::from_str(first).unwrap();
        record[key] = value;
        format!("{record}\n")
    };
    let odd = [
        altered("schema", json!(2)),
        altered("model_version", json!("0123456789ab")),
        altered("ts", json!("1999-12-31T23:59:59.000000Z")),
        altered("ts", json!("2999-12-31T23:59:59.000000Z")),
        altered("ts", json!("yesterday")),
        "no JSON\n".to_owned(),
        format!("{}\n", "x".repeat(5 << 20)),
        first[..first.len() / 2].to_owned(),
    ];
    let (plain, packed) = (folder.path().join("odd.jsonl"), folder.path().join("whole.jsonl.gz"));
    fs_err::write(&plain, odd.concat()).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(good.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    fs_err::write(&packed, &whole).unwrap();
    let broken = folder.path().join("broken.gz");
    fs_err::write(&broken, &whole[..whole.len() / 2]).unwrap();

    let report = |logs: &[&Path]| {
        let told = drift(logs, &["--format", "json", "--least", "1"]).success().stdout;
        serde_json::from_str::<Value>(&told).unwrap()
    };
    let told = report(&[&plain, &packed]);
    assert_eq!(told["images"], json!(IMAGES));
    let skipped = json!({ "other-model": 1, "other-schema": 1, "clock": 2, "malformed": 2, "long": 1, "cut-off": 1 });
    assert_eq!(told["skipped"], skipped);

    let told = report(&[&broken]);
    assert!((1..IMAGES as u64).contains(&told["images"].as_u64().unwrap()), "{told:#}");
    assert_eq!(told["skipped"]["damaged"], json!(1));
}

#[test]
fn of_nothing_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.jsonl");
    fs_err::write(&empty, "").unwrap();
    let told = drift(&[&empty], &[]);
    // Not as if all were well.
    assert_eq!(told.code, Some(75), "{}", told.stderr);
    assert!(told.stdout.contains("Nothing can be said"), "{}", told.stdout);
    assert!(told.stderr.contains("and there are 0\n\nhint: longer logs"), "{}", told.stderr);
    let missing = drift(&[&folder.path().join("missing.jsonl")], &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("missing.jsonl"), "{}", missing.stderr);
}
