//! What may ship, and what `release` refuses before it builds anything.

use std::path::Path;

use contract::digest::Digest;
use contract::robustness::Perturbation;
use e2e::artifact::Claims;
use e2e::process::Ended;
use gitops::pin::Pin;

use crate::scratch::{PASSED, Scratch, event, pin_in, says};

/// A fork with the shipped policy, whose production runs `champion`.
fn fork(champion: Option<&Claims>) -> Scratch {
    let scratch = Scratch::new();
    let policy = fs_err::read(e2e::repo::root().join("model/gate.yaml")).unwrap();
    fs_err::create_dir_all(scratch.path("clone/model")).unwrap();
    fs_err::write(scratch.path("clone/model/gate.yaml"), policy).unwrap();
    if let Some(champion) = champion {
        champion.write(&scratch.path("clone/artifacts"));
        // Of a registry that has lost it.
        let pin = Pin { model_digest: champion.digest(), ..pin_in("gone", "1.0.0") };
        let commit = scratch.release("production", &pin);
        scratch.report(&event("production", &commit, PASSED)).success();
    }
    scratch
}

/// What the task's generator calls its pictures.
fn generated() -> String {
    e2e::data::task()
        .data
        .synthetic
        .expect("the shipped task has a generator")
        .data_name()
        .to_owned()
}

fn judge(scratch: &Scratch, candidate: &Claims, code: i32, words: &[&str]) {
    let folder = candidate.write(&scratch.path("candidate"));
    says(&scratch.xtask(&["gate", folder.to_str().unwrap()]), code, words);
}

#[test]
fn a_model_that_keeps_to_every_limit_may_ship() {
    let champion = Claims::good("champion");
    let scratch = fork(None);
    judge(&scratch, &champion, 0, &["accuracy 99.80 %", "there is no champion yet", "100 µs"]);
    let scratch = fork(Some(&champion));
    let same = Claims { name: "candidate", ..champion.clone() };
    judge(&scratch, &same, 0, &["0 images gained, 0 lost, p = 1.000"]);
    let unlucky = Claims { wrong: vec![1, 2, 3, 4], ..same.clone() };
    judge(&scratch, &unlucky, 0, &["0 images gained, 2 lost, p = 0.250"]);
    judge(&scratch, &champion, 0, &["p = 1.000"]);
}

/// Refused by one criterion alone, and with this sentence.
#[track_caller]
fn fails(scratch: &Scratch, candidate: &Claims, sentence: &str) {
    let folder = candidate.write(&scratch.path("candidate"));
    let ended = scratch.xtask(&["gate", folder.to_str().unwrap()]);
    says(&ended, 5, &["may not ship", "hint: "]);
    let failed: Vec<_> = ended.stdout.lines().filter(|line| line.starts_with("fails:")).collect();
    assert!(failed.len() == 1 && failed[0].contains(sentence), "{failed:?}");
}

/// The fork's policy, with one thing changed.
fn change_policy(scratch: &Scratch, from: &str, to: &str) {
    let policy = scratch.path("clone/model/gate.yaml");
    let text = fs_err::read_to_string(&policy).unwrap();
    assert!(text.contains(from), "{text}");
    fs_err::write(&policy, text.replace(from, to)).unwrap();
}

#[test]
fn each_limit_alone_keeps_a_model_from_shipping() {
    let champion = Claims::good("champion");
    let scratch = fork(Some(&champion));
    let good = Claims { name: "candidate", ..champion };
    fails(&scratch, &Claims { microseconds_per_image: 1001.0, ..good.clone() }, "1001 µs");
    fails(&scratch, &Claims { batch: 8, ..good.clone() }, "no latency was measured at batch 1");
    let nine = Claims { wrong: (0..9).collect(), ..good.clone() };
    fails(&scratch, &nine, "0 images gained, 7 lost, p = 0.008");
    fails(
        &scratch,
        &Claims { calibration_error: 0.021, ..good.clone() },
        "confidence is off by 2.10 %",
    );
    let scratch = fork(None);
    judge(&scratch, &Claims { wrong: (0..16).collect(), ..good.clone() }, 5, &["fails: accuracy"]);
    let drawn = Claims { data: generated(), ..good };
    judge(&scratch, &drawn, 5, &["fails: trained on `synthetic-"]);
}

#[test]
fn a_class_does_not_pay_for_the_others() {
    let classes = e2e::data::task().classes;
    let of_class = |class, count| (0..count).map(|n| n * classes.len() + class).collect();
    let elsewhere = (0..8).map(|n| n * classes.len() + n % 3).collect();
    let scratch = fork(Some(&Claims { wrong: elsewhere, ..Claims::good("champion") }));
    let name = &classes[7];
    let lost = |count| Claims { wrong: of_class(7, count), ..Claims::good("candidate") };
    // Of all images 8 are gained; adjusted for ten classes.
    fails(&scratch, &lost(9), &format!("`{name}` 0 images gained, 9 lost, adjusted p = 0.020"));
    judge(
        &scratch,
        &lost(7),
        0,
        &[&format!("`{name}` did worst, 0 images gained, 7 lost, adjusted p = 0.078")],
    );
}

#[test]
fn a_model_that_breaks_on_changed_pictures_is_refused_by_what_changed_them() {
    let with = |perturbation, wrong: usize| Claims {
        perturbed: Some(vec![(perturbation, (0..wrong).collect())]),
        ..Claims::good("candidate")
    };
    let alone = fork(None);
    for (perturbation, wrong) in [
        (Perturbation::Shift, 51),
        (Perturbation::Rotate, 41),
        (Perturbation::Thicken, 51),
        (Perturbation::Noise, 71),
    ] {
        fails(
            &alone,
            &with(perturbation, wrong),
            &format!(" % with {}; at least", perturbation.name()),
        );
        judge(&alone, &with(perturbation, wrong - 1), 0, &[]);
    }
    // Far above its limit, and yet worse than the champion.
    let beside = fork(Some(&Claims::good("champion")));
    fails(&beside, &with(Perturbation::Noise, 40), "0 images gained, 40 lost, adjusted p = 0.000");
    // So much is the luck of a seed.
    judge(
        &beside,
        &with(Perturbation::Noise, 30),
        0,
        &["0 images gained, 30 lost, adjusted p = 0.000"],
    );
    // What the policy does not name is measured and not judged.
    let inverted = with(Perturbation::Invert, 1000);
    judge(&beside, &inverted, 0, &[]);
    change_policy(
        &beside,
        "robustness:\n",
        "robustness:\n  invert: { min_accuracy: 0.5, max_loss: 1 }\n",
    );
    fails(&beside, &inverted, "accuracy 0.00 % with invert; at least 50.00 %");
}

#[test]
fn an_artifact_from_before_robustness_may_be_the_champion_and_not_the_candidate() {
    let old = Claims { perturbed: None, ..Claims::good("champion") };
    let scratch = fork(Some(&old));
    let good = Claims::good("candidate");
    judge(
        &scratch,
        &good,
        0,
        &["with noise; at least 93.00 %; the champion", "was not asked about the same"],
    );
    let broken = Claims { perturbed: Some(vec![(Perturbation::Noise, (0..71).collect())]), ..good };
    fails(&scratch, &broken, "with noise");
    fails(
        &scratch,
        &Claims { name: "candidate", ..old },
        "older than questions about perturbed pictures",
    );
    change_policy(&scratch, "  noise:", "  nosie:");
    let again = Claims::good("candidate");
    judge(
        &scratch,
        &again,
        1,
        &["robustness.nosie: no perturbation is called so", "thicken, noise"],
    );
}

/// By artifacts alone, wherever main is.
fn against(scratch: &Scratch, args: &[&str]) -> Ended {
    let champion = Claims::good("champion").write(&scratch.path("other"));
    let candidate = Claims { wrong: (0..9).collect(), ..Claims::good("candidate") };
    let candidate = candidate.write(&scratch.path("candidate"));
    let named = ["gate", candidate.to_str().unwrap(), "--against", champion.to_str().unwrap()];
    scratch.xtask(&[&named, args].concat())
}

#[test]
fn a_model_is_judged_against_any_other_without_asking_main() {
    let scratch = fork(None);
    fs_err::remove_dir_all(scratch.path("remote")).unwrap();
    says(
        &against(&scratch, &[]),
        5,
        &["0 images gained, 7 lost", "no records were replayed; none"],
    );
    change_policy(&scratch, "required: false", "required: true");
    says(&against(&scratch, &[]), 5, &["fails: no records were replayed; some are demanded"]);
    let candidate = Claims::good("candidate").write(&scratch.path("candidate"));
    let ended = scratch.xtask(&["gate", candidate.to_str().unwrap(), "--against", "./nowhere"]);
    says(&ended, 1, &["nowhere", "hint: `cargo xtask train`"]);
}

#[test]
fn the_report_is_a_page_with_every_criterion_and_replaces_nothing_else() {
    let scratch = fork(None);
    let folder = scratch.path("report");
    let report = ["--report", folder.to_str().unwrap()];
    for _ in 0..2 {
        let ended = against(&scratch, &report);
        says(&ended, 5, &[]);
        let page = fs_err::read_to_string(folder.join("gate.md")).unwrap();
        assert!(page.lines().next().unwrap().ends_with("may not ship"), "{page}");
        assert!(page.contains("| **fails** | against the champion"), "{page}");
        for line in ended.stdout.lines() {
            let (_, sentence) = line.split_once(": ").unwrap();
            assert!(page.contains(sentence), "`{sentence}` is missing in:\n{page}");
        }
        let class = &e2e::data::task().classes[3];
        for row in [
            format!("| {class} | 100 | 99.00 % | 100.00 % | 0 | 1 | 1.000 |"),
            "| invert | 1000 | 100.00 % | 100.00 % | 0 | 0 | not judged |".to_owned(),
        ] {
            assert!(page.contains(&row), "`{row}` is missing in:\n{page}");
        }
    }
    let good = Claims::good("candidate").write(&scratch.path("candidate"));
    let mut judged = vec!["gate", good.to_str().unwrap()];
    judged.extend(report);
    says(&scratch.xtask(&judged), 0, &[]);
    let page = fs_err::read_to_string(folder.join("gate.md")).unwrap();
    assert!(page.contains("may ship\n") && page.contains("There is no champion yet."), "{page}");

    fs_err::remove_file(folder.join("gate.md")).unwrap();
    fs_err::write(folder.join("novel.txt"), "years of work").unwrap();
    says(&against(&scratch, &report), 1, &["is no part of a report", "hint: --report"]);
    assert!(folder.join("novel.txt").is_file());
}

#[test]
fn what_cannot_be_judged_is_not_let_pass() {
    let drawn = Claims { data: generated(), ..Claims::good("champion") };
    let scratch = fork(Some(&drawn));
    let good = Claims::good("candidate");
    judge(&scratch, &good, 5, &["it cannot be compared with the champion", "`synthetic-"]);

    fs_err::remove_dir_all(scratch.path("clone/artifacts")).unwrap();
    judge(
        &scratch,
        &good,
        1,
        &["the champion", "is neither here nor at", "hint: push its artifact"],
    );

    let scratch = fork(None);
    let folder = good.write(&scratch.path("candidate"));
    fs_err::write(folder.join("evaluation.json"), "{}").unwrap();
    let ended = scratch.xtask(&["gate", folder.to_str().unwrap()]);
    says(&ended, 1, &["was changed after training"]);
    says(&scratch.xtask(&["gate", "nowhere"]), 1, &["nowhere", "hint: `cargo xtask train`"]);
    change_policy(&scratch, "\nmin_accuracy", "\nmin_acuracy");
    judge(&scratch, &good, 1, &["model/gate.yaml", "min_acuracy", "line", "hint: "]);
}

/// Nothing on main or its marks moves.
fn release(scratch: &Scratch, model: &Path, args: &[&str], code: i32, words: &[&str]) {
    let refs = scratch.refs();
    let args = [&["release", "--model", model.to_str().unwrap()], args].concat();
    says(&scratch.xtask(&args), code, words);
    assert_eq!(scratch.refs(), refs);
}

#[test]
fn a_release_is_refused_before_anything_is_built() {
    let scratch = fork(None);
    fs_err::copy(e2e::repo::root().join(".dockerignore"), scratch.path("clone/.dockerignore"))
        .unwrap();
    let good = Claims::good("candidate").write(&scratch.path("candidate"));
    let place = ["--image", "127.0.0.1:9/team/api"];
    release(&scratch, &good, &[], 2, &["nothing says where images", "hint: --image"]);
    release(&scratch, &good, &["--env", "stage"], 2, &["no environment", "hint: "]);
    let bad = Claims { wrong: (0..500).collect(), ..Claims::good("bad") };
    let bad = bad.write(&scratch.path("candidate"));
    let refused = ["refused, and nothing was changed", "the gate refuses", "fails: accuracy"];
    let report = scratch.path("report");
    let args = [&place[..], &["--report", report.to_str().unwrap()]].concat();
    release(&scratch, &bad, &args, 3, &refused);
    let page = fs_err::read_to_string(report.join("gate.md")).unwrap();
    assert!(
        page.contains("| **fails** | what the service is built from is not committed |"),
        "{page}"
    );

    let refused = ["fails: what the service is built from is not committed"];
    release(&scratch, &good, &place, 3, &refused);

    scratch.xtask(&["freeze", "staging", "--reason", "because"]).success();
    release(&scratch, &good, &place, 3, &["staging: the environment is frozen", "hint: "]);

    let none = format!("127.0.0.1:9/team/api-model@{}", Digest::of(b"none"));
    scratch.xtask(&["unfreeze", "staging", "--reason", "because"]).success();
    release(&scratch, Path::new(&none), &place, 1, &["127.0.0.1:9"]);
    release(
        &scratch,
        Path::new("api@latest"),
        &place,
        1,
        &["neither a folder nor an image", "hint: "],
    );
}
