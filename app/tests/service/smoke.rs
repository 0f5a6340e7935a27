use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use app::access::keys::mint;
use app::serve::Drain;
use app::smoke::report::{Report, Verdict};
use app::smoke::{Args, judge};
use clap::Parser;
use contract::digest::Digest;
use contract::image::Image;
use contract::prediction::Scores;
use contract::probes::{Probe, Probes};

use crate::harness::{CLASSES, DRAIN, Running, SHAPE, classify, file, image, scores, service};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn probes() -> (Probes, Vec<(usize, Image)>) {
    let probes = Probes {
        schema: contract::probes::SCHEMA,
        task: "sides".to_owned(),
        origin: "drawn for this test".to_owned(),
        threshold: 0.9,
        input: SHAPE,
        classes: CLASSES.map(str::to_owned).into(),
        probes: (0..30).map(|i| Probe::new(i % 3, &image(i % 3))).collect(),
    };
    Probes::from_json(&serde_json::to_vec(&probes).unwrap()).unwrap()
}

/// Long before that a test with an end of its own has come to it, however busy the machine is.
const LONG: [&str; 2] = ["--deadline", "60s"];

fn smoke(url: &str, args: &[&str]) -> Report {
    smoke_with(url, args, None)
}

fn smoke_with(url: &str, args: &[&str], key: Option<&str>) -> Report {
    let deadline = if args.contains(&"--deadline") { &[][..] } else { &["--deadline", "400ms"] };
    let args = [&["smoke", url, "--probes", "unused"], deadline, args].concat();
    let args = Program::try_parse_from(args).unwrap().args;
    let (probes, pictures) = probes();
    judge(&args, &probes, &pictures, key)
}

fn smoke_of(
    classify: impl FnMut(&[Image]) -> Result<Vec<Scores>, String> + Send + 'static,
    args: &[&str],
) -> Report {
    let drain = Drain { pause: Duration::ZERO, limit: Duration::from_secs(5), ..DRAIN };
    let running = Running::start(service(&[], classify), drain);
    smoke(&format!("http://{}/", running.address), args)
}

#[test]
fn where_callers_need_a_key_smoke_needs_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let (key, line) = mint("smoke", "predict".parse().unwrap()).unwrap();
    let running = Running::of(&["--api-keys-file", &file(&folder, "keys", &line)]);
    let url = format!("http://{}", running.address);
    assert_eq!(smoke(&url, &[]).verdict, Verdict::AppWrong);
    assert_eq!(smoke_with(&url, &LONG, Some(&key)).verdict, Verdict::Ok);
}

#[test]
fn a_fit_service_passes_with_every_probe_on_a_connection_of_its_own() {
    let digest = Digest::of(b"weights").to_string();
    let expected = ["--expect-app-version", "1.2.3", "--expect-model-digest", &digest];
    let report = smoke_of(classify, &[&expected[..], &LONG].concat());
    assert_eq!(report.verdict, Verdict::Ok, "{report:?}");
    assert_eq!((report.consecutive, report.attempts, report.accuracy), (30, 30, Some(1.0)));
    assert_eq!(smoke_of(classify, &["--consecutive", "45", LONG[0], LONG[1]]).consecutive, 45);
}

#[test]
fn a_model_with_shuffled_labels_is_wrong() {
    let shuffled = |images: &[Image]| {
        let shuffle = |image| {
            let p = scores(image);
            let p = p.probabilities();
            Scores::new([p[1], p[2], p[0]]).unwrap()
        };
        Ok(images.iter().map(shuffle).collect())
    };
    let report = smoke_of(shuffled, &LONG);
    assert_eq!((report.verdict, report.accuracy), (Verdict::ModelWrong, Some(0.0)), "{report:?}");
    assert_eq!(report.wrong.len(), 30);
}

#[test]
fn a_model_that_always_says_the_same_is_wrong() {
    let constant = |images: &[Image]| {
        Ok(images.iter().map(|_| Scores::new([0.5, 0.25, 0.25]).unwrap()).collect())
    };
    let report = smoke_of(constant, &LONG);
    assert_eq!(report.verdict, Verdict::ModelWrong, "{report:?}");
}

#[test]
fn a_service_that_stays_another_one_is_wrong() {
    let other = Digest::of(b"other").to_string();
    for expected in [["--expect-model-digest", &other], ["--expect-app-version", "2.0.0"]] {
        let report = smoke_of(classify, &expected);
        assert_eq!(report.verdict, Verdict::AppWrong, "{report:?}");
        assert!(report.fault.unwrap().contains("is expected"));
    }
}

#[test]
fn a_service_that_fails_on_some_pictures_is_wrong() {
    let failing = |images: &[Image]| {
        if *images[0].pixels() == *image(2).pixels() {
            Err("broken".to_owned())
        } else {
            classify(images)
        }
    };
    let report = smoke_of(failing, &[]);
    assert_eq!(report.verdict, Verdict::AppWrong, "{report:?}");
    assert!(report.fault.unwrap().contains("status 500"));
}

/// Answers each connection with the bytes for its number.
fn smoke_of_bytes(answer: impl Fn(usize) -> String + Send + 'static) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 4096];
            drop(stream.read(&mut request));
            drop(stream.write_all(answer(number).as_bytes()));
        }
    });
    smoke(&url, &[])
}

fn http(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

#[test]
fn what_is_no_prediction_of_ours_is_told_apart_from_what_was_not_reached() {
    let digest = Digest::of(b"weights").to_string();
    let ours = format!(
        "X-App-Version: 1\r\nX-Model-Version: {}\r\nX-Model-Digest: {digest}\r\n",
        &digest[7..19]
    );
    let answer = |label: usize, p: &str, version: &str| {
        format!(
            r#"{{"label":{label},"name":"left","confidence":0.75,"probabilities":[{p}],"model_version":"{version}"}}"#
        )
    };
    let version = &digest[7..19];
    let check = |answer: String, verdict: Verdict, part: &str| {
        let report = smoke_of_bytes(move |_| answer.clone());
        assert_eq!(report.verdict, verdict, "{report:?}");
        assert!(report.fault.as_ref().unwrap().contains(part), "{report:?}");
    };
    let good = "0.75,0.125,0.125";
    check(http(200, "", &answer(0, good, version)), Verdict::AppWrong, "no header");
    check(http(200, &ours, "<html>"), Verdict::AppWrong, "cannot be read");
    check(http(200, &ours, &answer(0, "1.0", version)), Verdict::AppWrong, "probabilities");
    check(http(200, &ours, &answer(1, good, version)), Verdict::AppWrong, "likeliest");
    check(http(200, &ours, &answer(0, "9,1,1", version)), Verdict::AppWrong, "the value 9");
    check(http(200, &ours, &answer(0, good, "0123456789ab")), Verdict::AppWrong, "two models");
    check(http(404, &ours, "x"), Verdict::AppWrong, "status 404");
    check(http(503, &ours, "x"), Verdict::AppWrong, "status 503");
    check(http(503, "", "no upstream"), Verdict::Undecided, "gateway");
    check(http(429, &ours, "x"), Verdict::Undecided, "status 429");
    check(String::new(), Verdict::Undecided, "cannot be reached");
}

#[test]
fn two_models_taking_turns_are_no_row() {
    let report = smoke_of_bytes(|number| {
        let digest = Digest::of(&[number.is_multiple_of(2).into()]).to_string();
        let version = &digest[7..19];
        let headers = format!(
            "X-App-Version: 1\r\nX-Model-Version: {version}\r\nX-Model-Digest: {digest}\r\n"
        );
        let body = format!(
            r#"{{"label":0,"name":"left","confidence":1.0,"probabilities":[1,0,0],"model_version":"{version}"}}"#
        );
        http(200, &headers, &body)
    });
    assert_eq!(report.verdict, Verdict::AppWrong, "{report:?}");
    assert!(report.fault.unwrap().contains("answered, then"));
}

#[test]
fn where_nothing_listens_nothing_can_be_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let report = smoke(&format!("http://127.0.0.1:{port}"), &[]);
    assert_eq!((report.verdict, report.accuracy), (Verdict::Undecided, None), "{report:?}");
}
