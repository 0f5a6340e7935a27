//! What the notification templates send, read; what anybody else may send, refused with a reason.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gitops::environment::{Environment, Environments, Part};
use gitops::event::{Event, InvalidEvent, Observation, Proof};
use gitops::verdict::Verdict;
use jiff::Timestamp;

const REVISION: &str = "64d118abcc5f21fe94ba5bf558332010865242a4";

fn environment(name: &str) -> Environment {
    match Part::of(&format!("kustomize/overlays/{name}/release/kustomization.yaml")) {
        Part::Pin(environment) => environment,
        part => panic!("{part:?}"),
    }
}

fn known() -> Environments {
    ["production", "staging"].map(environment).into_iter().collect()
}

fn fixture(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_recorded_report_reads_as_what_happened() {
    let failed = Observation::Failed;
    for (name, observation, revision, evidence) in [
        ("smoke-42", failed(Verdict::AppWrong), true, "after 1 retries"),
        ("smoke-43", failed(Verdict::ModelWrong), true, "Job/smoke: Container smoke for pod"),
        ("smoke-undecided", failed(Verdict::Undecided), true, "backoff limit"),
        ("rollout-failed", failed(Verdict::RolloutFailed), true, "progress deadline"),
        ("sync-timeout", failed(Verdict::Unknown), true, "was waiting for Service/mnist"),
        ("deployed", Observation::Deployed(Proof::SmokePassed), true, "deployed"),
        ("unrenderable", Observation::Unrenderable, false, "invalid Kustomization"),
    ] {
        let event = Event::parse(&fixture(name), &known()).unwrap();
        assert_eq!(event.environment.name(), "production", "{name}");
        assert_eq!(event.observation, observation, "{name}");
        assert_eq!(event.revision, revision.then(|| REVISION.parse().unwrap()), "{name}");
        assert!(event.evidence.iter().any(|line| line.contains(evidence)), "{name}: {event:?}");
        let observed = event.observed_at.to_string();
        assert!(observed.starts_with("2026-11-23T18:1"), "{name}: {observed}");
    }
}

#[test]
fn a_report_that_says_too_little_is_refused_with_what_is_missing() {
    for (name, reason) in [
        ("no-status", "phase ``"),
        ("error-without-result", "`` is not a full commit id"),
        ("unlabelled", "label the Application with `env`"),
    ] {
        let error = Event::parse(&fixture(name), &known()).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn a_hostile_report_is_refused() {
    let good = String::from_utf8(fixture("smoke-42")).unwrap();
    let mut deep = "[".repeat(10_000);
    deep.push_str(&"]".repeat(10_000));
    for (from, to) in [
        ("\"schema\":1", "\"schema\":2"),
        ("\"schema\":1", "\"schema\":\"1\""),
        ("\"production\"", "\"prod\""),
        ("\"production\"", "\"../production\""),
        ("\"production\"", "\"production\\n\""),
        ("\"production\"", "null"),
        (REVISION, "main"),
        (REVISION, "HEAD"),
        (REVISION, "64d118a"),
        (REVISION, "--upload-pack=x"),
        ("\"Failed\",\n", "\"Succeeded\",\n"),
        ("2026-11-23T18:11:48Z", "yesterday"),
        ("2026-11-23T18:11:48Z", "9999999-01-01T00:00:00Z"),
        ("argocd-release-failed", "argocd-release-exploded"),
        ("\"retries\":1", "\"retries\":-1"),
        ("\"waiting\"", "\"surprise\":1,\"waiting\""),
        ("\"waiting\":[]", "\"waiting\":[1]"),
        ("\"message\":\"one", "\"message\":7,\"x\":\"one"),
        ("}]", ""),
        ("{\"event_type\"", &deep),
        ("\"failed\"", "\"env\":\"staging\",\"failed\""),
    ] {
        let evil = good.replacen(from, to, 1);
        assert_ne!(evil, good, "{from}");
        assert!(
            Event::parse(evil.as_bytes(), &known()).is_err(),
            "{from} -> {}",
            &to[..to.len().min(40)]
        );
    }
    for bytes in [&b""[..], b"null", b"\xff\xfe", b"[]", b"{}", &vec![b'['; 70_000]] {
        assert!(Event::parse(bytes, &known()).is_err());
    }
    let large = good.replacen("one or", &"x".repeat(70_000), 1);
    assert!(matches!(Event::parse(large.as_bytes(), &known()), Err(InvalidEvent::TooLarge(_))));
}

#[test]
fn evidence_is_lines_that_forge_nothing() {
    let good = String::from_utf8(fixture("smoke-42")).unwrap();
    let evil = good.replacen("one or", "a\\n\\nChange-Kind: release\\u0000\\u001b[2J", 1);
    let event = Event::parse(evil.as_bytes(), &known()).unwrap();
    for line in &event.evidence {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn what_a_stand_in_writes_reads_back() {
    let observations = [
        Observation::Deployed(Proof::SmokePassed),
        Observation::Deployed(Proof::AlreadyLive),
        Observation::Unrenderable,
    ];
    let failed = Verdict::ALL.map(Observation::Failed);
    // A probe from outside cannot tell a wrong service from the old one that still answers.
    let probed = Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::AppWrong);
    for observation in
        observations.into_iter().chain(failed).chain(probed.map(Observation::TimedOut))
    {
        let event = Event {
            environment: environment("staging"),
            revision: Some(REVISION.parse().unwrap()),
            observed_at: Timestamp::from_second(1_795_000_000).unwrap(),
            observation,
            evidence: vec!["it was seen".to_owned()],
        };
        let read = Event::parse(event.to_json().as_bytes(), &known()).unwrap();
        assert_eq!((read.observation, read.revision), (observation, event.revision));
        assert_eq!((read.environment, read.observed_at), (event.environment, event.observed_at));
    }
}

#[test]
fn a_refusal_is_one_line_whatever_the_report_says() {
    let lines = format!("\n::error::{}", "x".repeat(9999));
    for field in ["event_type", "env", "revision", "phase", "finished_at"] {
        let mut report: serde_json::Value = serde_json::from_slice(&fixture("deployed")).unwrap();
        let part = if field == "event_type" { &mut report } else { &mut report["client_payload"] };
        part[field] = lines.clone().into();
        let error = Event::parse(report.to_string().as_bytes(), &known()).unwrap_err().to_string();
        assert!(error.len() < 1500 && !error.contains('\n'), "{field}: {error}");
    }
}
