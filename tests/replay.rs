//! What a service was really asked, answered again by two real models.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use contract::artifact::Artifact;
use contract::digest::Digest;
use contract::image::Image;
use contract::record::Record;
use contract::replay::{Flip, Replay};
use e2e::data;
use e2e::http::Http;
use e2e::model::{quick, quick_of};
use e2e::process::{Ended, command, run, xtask};
use e2e::repo;
use e2e::server::Server;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// In one request.
const TOGETHER: usize = 32;
/// Pictures that both models call alike.
const ALIKE: usize = 300;

/// Two models, and what a service of the first was asked.
struct Asked {
    folder: TempDir,
    champion: Artifact,
    candidate: Artifact,
    log: PathBuf,
    /// Which image of which request the two call differently.
    flips: BTreeSet<(String, usize)>,
    images: usize,
}

impl Asked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (champion, candidate) = (quick(), quick_of(7));
        let [one, other] = [&champion, &candidate].map(|model| model.evaluation().unwrap());
        let differ = |i: &usize| one.predicted()[*i] != other.predicted()[*i];
        let (apart, alike): (Vec<_>, Vec<_>) = (0..one.images()).partition(differ);
        assert!((10..100).contains(&apart.len()), "{} images tell them apart", apart.len());
        let images = data::test_images();
        let chosen: Vec<&Image> =
            alike[..ALIKE].iter().chain(&apart).map(|&i| &images[i].1).collect();
        let log = folder.path().join("predictions.jsonl");
        record(champion.path(), &log, &chosen);
        let apart: BTreeSet<Digest> =
            apart.iter().map(|&i| Digest::of(images[i].1.pixels())).collect();
        let flips = records(&log)
            .into_iter()
            .filter(|record| apart.contains(&record.input.sha256))
            .map(|record| (record.request_id, record.image))
            .collect();
        let images = chosen.len();
        Self { folder, champion, candidate, log, flips, images }
    }

    fn gate(&self, logs: &[&Path], args: &[&str]) -> Ended {
        let mut gate = xtask(self.folder.path());
        gate.arg("gate").arg(self.candidate.path()).arg("--against").arg(self.champion.path());
        run(gate.args(args).arg("--records").args(logs))
    }

    fn replay(&self, logs: &[&Path]) -> Replay {
        self.replay_with(logs, &[])
    }

    /// As the gate is told.
    fn replay_with(&self, logs: &[&Path], args: &[&str]) -> Replay {
        let mut model = command(repo::release_binary("model"), self.folder.path());
        model.arg("replay").arg("--candidate").arg(self.candidate.path());
        let told =
            run(model.arg("--champion").arg(self.champion.path()).args(args).arg("--").args(logs))
                .success();
        serde_json::from_str(&told.stdout).unwrap()
    }

    /// The folder that comes of what people said.
    fn labelled(&self, said: &[(&Flip, usize)]) -> PathBuf {
        let line = |(flip, truth): &(&Flip, usize)| {
            json!({ "target": "access", "about": flip.request_id, "image": flip.image, "counted": true,
                "model_version": self.champion.manifest().model_version, "predicted": flip.champion.label,
                "truth": truth })
        };
        let lines: Vec<String> = said.iter().map(|said| format!("{}\n", line(said))).collect();
        let log = self.write("log.jsonl", lines.concat().as_bytes());
        let folder = self.folder.path().join("labelled");
        let mut feedback = command(repo::release_binary("mlops"), self.folder.path());
        feedback.arg("feedback").arg("--model").arg(self.champion.path()).arg("--out").arg(&folder);
        run(feedback.arg("--records").arg(&self.log).arg("--feedback").arg(log)).success();
        folder
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs_err::write(&path, content).unwrap();
        path
    }
}

/// What a service remembers of these, pixels and all.
fn record(model: &Path, log: &Path, images: &[&Image]) {
    let args = ["--records", log.to_str().unwrap(), "--records-pixels", "1"];
    let mut server = Server::start(model, &args);
    let http = Http::default();
    for images in images.chunks(TOGETHER) {
        let pixels: Vec<_> = images.iter().map(|image| image.pixels()).collect();
        let reply = http.post_json(&server.url("/v1/predict/batch"), &json!({ "images": pixels }));
        assert_eq!(reply.unwrap().status, 200);
    }
    server.signal("TERM");
    server.ended();
}

fn records(log: &Path) -> Vec<Record> {
    let text = fs_err::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn told(replay: &Replay) -> BTreeSet<(String, usize)> {
    replay.flips.iter().map(|flip| (flip.request_id.clone(), flip.image)).collect()
}

#[test]
fn exactly_what_becomes_otherwise_is_listed_drawn_and_held_against_the_candidate() {
    let asked = Asked::new();
    let (flips, images) = (asked.flips.len(), asked.images);
    let replay = asked.replay(&[&asked.log]);
    assert_eq!((told(&replay), replay.images), (asked.flips.clone(), images as u64));
    assert!(replay.skipped.is_empty(), "{:?}", replay.skipped);
    let confidences: Vec<f32> = replay.flips.iter().map(|f| f.candidate.confidence).collect();
    assert!(confidences.is_sorted_by(|one, next| one >= next), "{confidences:?}");

    let report = asked.folder.path().join("report");
    let judged = asked.gate(&[&asked.log], &["--report", report.to_str().unwrap()]);
    assert_eq!(judged.code, Some(5), "{}", judged.stderr);
    let sentence = format!("fails: of {images} pictures of records {flips} (");
    assert!(judged.stdout.contains(&sentence), "`{sentence}` is missing in:\n{}", judged.stdout);
    let page = fs_err::read_to_string(report.join("gate.md")).unwrap();
    let (_, listed) = page.split_once("| time | request |").unwrap();
    let rows = listed.lines().skip(2).filter(|line| !line.is_empty()).map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        (cells[2].to_owned(), cells[3].parse().unwrap())
    });
    assert_eq!(rows.collect::<BTreeSet<(String, usize)>>(), asked.flips);
    let sheet = fs_err::read_to_string(report.join("flips.svg")).unwrap();
    assert_eq!(sheet.matches("<image ").count(), flips.min(72));

    // A policy that allows as much lets the same records pass.
    let shipped = fs_err::read_to_string(repo::root().join("model/gate.yaml")).unwrap();
    let lax =
        asked.write("lax.yaml", shipped.replace("max_flips: 0.02", "max_flips: 1").as_bytes());
    let judged = asked.gate(&[&asked.log], &["--policy", lax.to_str().unwrap()]);
    assert!(judged.stdout.contains(&sentence.replace("fails", "holds")), "{}", judged.stdout);
}

#[test]
fn an_answer_that_becomes_what_people_said_is_no_flip() {
    let asked = Asked::new();
    let before = asked.replay(&[&asked.log]);
    let (wanted, other) = (&before.flips[0], &before.flips[1]);
    // Of the second people said what neither model says.
    let neither =
        (0..3).find(|label| ![other.champion.label, other.candidate.label].contains(label));
    let labelled = asked.labelled(&[(wanted, wanted.candidate.label), (other, neither.unwrap())]);
    let labelled = labelled.to_str().unwrap();
    let replay = asked.replay_with(&[&asked.log], &["--labelled", labelled]);
    assert_eq!(replay.corrected, before.flips[..1]);
    assert_eq!((replay.flips.as_slice(), replay.images), (&before.flips[1..], before.images));

    let report = asked.folder.path().join("report");
    let args = ["--labelled", labelled, "--report", report.to_str().unwrap()];
    let judged = asked.gate(&[&asked.log], &args);
    let told = format!("{} pictures of records {} (", asked.images, asked.flips.len() - 1);
    for words in [&*told, "; 1 more became what callers said"] {
        assert!(judged.stdout.contains(words), "`{words}` is missing in:\n{}", judged.stdout);
    }
    let page = fs_err::read_to_string(report.join("gate.md")).unwrap();
    let (_, listed) = page.split_once("1 more became what callers said").unwrap();
    assert!(listed.contains(&wanted.request_id), "{listed}");
}

#[test]
fn lines_that_cannot_be_replayed_are_counted_by_their_reason_and_the_rest_is_replayed() {
    let asked = Asked::new();
    let good = fs_err::read_to_string(&asked.log).unwrap();
    let first = good.lines().next().unwrap();
    let altered = |key: &str, value: Value| {
        let mut record: Value = serde_json::from_str(first).unwrap();
        record[key] = value;
        format!("{record}\n")
    };
    let mut unsampled: Value = serde_json::from_str(first).unwrap();
    unsampled.as_object_mut().unwrap().remove("pixels");
    let odd = [
        altered("schema", json!(2)),
        altered("kind", json!("feedback")),
        altered("pixels", json!("AAAA")),
        altered("pixels", json!("no base64")),
        format!("{unsampled}\n"),
        // Whatever clock it was written by, and again.
        altered("ts", json!("2999-12-31T23:59:59.000000Z")),
        altered("ts", json!("yesterday")),
        "no JSON\n".to_owned(),
        first[..first.len() / 2].to_owned(),
    ];
    let odd = asked.write("odd.jsonl", odd.concat().as_bytes());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(good.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let whole = asked.write("whole.jsonl.gz", &packed);
    let replay = asked.replay(&[&odd, &whole]);
    assert_eq!(replay.images, asked.images as u64);
    assert_eq!(told(&replay), asked.flips);
    let skipped = json!({
        "other-schema": 1, "unsampled": 1, "repeated": 2, "other-pixels": 1, "malformed": 3, "cut-off": 1,
    });
    assert_eq!(serde_json::to_value(&replay.skipped).unwrap(), skipped);

    let broken = asked.write("broken.gz", &packed[..packed.len() / 2]);
    let replay = asked.replay(&[&broken]);
    assert!((1..asked.images as u64).contains(&replay.images), "{}", replay.images);
    assert_eq!(serde_json::to_value(&replay.skipped).unwrap(), json!({ "damaged": 1 }));
}

#[test]
fn of_too_few_pictures_nothing_is_said_and_whether_that_refuses_is_the_policys() {
    let asked = Asked::new();
    let good = fs_err::read_to_string(&asked.log).unwrap();
    // The last are flips: few as they are, they would be far too many.
    let last = good.lines().rev().take(5).collect::<Vec<_>>().join("\n") + "\nno JSON\n";
    let few = asked.write("few.jsonl", last.as_bytes());
    let sentence =
        "5 pictures of records were replayed and 1 lines skipped; fewer than 200 say nothing";
    let judged = asked.gate(&[&few], &[]);
    assert!(judged.stdout.contains(&format!("holds: {sentence}")), "{}", judged.stdout);
    let shipped = fs_err::read_to_string(repo::root().join("model/gate.yaml")).unwrap();
    let strict = shipped.replace("required: false", "required: true");
    let strict = asked.write("strict.yaml", strict.as_bytes());
    let judged = asked.gate(&[&few], &["--policy", strict.to_str().unwrap()]);
    assert!(judged.stdout.contains(&format!("fails: {sentence}")), "{}", judged.stdout);
    let missing = asked.gate(&[Path::new("missing.jsonl")], &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("missing.jsonl"), "{}", missing.stderr);
}
