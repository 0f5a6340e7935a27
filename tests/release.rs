//! `release` with a real model and a really built service, its images in a folder: no engine, no cluster.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;

use std::process::{Command, Stdio};
use std::time::Duration;

use contract::artifact::Artifact;
use e2e::model::{quick, quick_of, train};
use e2e::process::{Ended, run, xtask};
use e2e::repo;
use gitops::pin::Pin;

use crate::scratch::{PASSED, Scratch, environment, event, says};

/// A fork's remote, released to from the checkout that the tests run in.
struct Fork {
    scratch: Scratch,
}

impl Fork {
    fn new() -> Self {
        Self { scratch: Scratch::new() }
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let path = |name: &str| self.scratch.path(name).display().to_string();
        let mut command = xtask(&self.scratch.path("home"));
        command.arg(name).args(["--remote", &path("remote"), "--clone", &path("through")]);
        command.args(["--layout", &path("images")]).args(args);
        for variable in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
            command.env(variable, "A Pipeline");
        }
        for variable in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            command.env(variable, "pipeline@example.org");
        }
        command
    }

    /// The tests' checkout may be one that somebody works in.
    fn release(&self, model: &str, args: &[&str]) -> Command {
        let args = [&["--allow-dirty", "--model", model], args].concat();
        self.command("release", &args)
    }

    fn pin(&self) -> Pin {
        Pin::from_yaml(&self.scratch.on_main(&environment("staging").pin_file())).unwrap()
    }

    fn releases(&self) -> usize {
        let titles = self.scratch.titles();
        titles.iter().filter(|title| title.starts_with("release(staging)")).count()
    }

    /// The verdict of a smoke test that passed on main's newest commit.
    fn verify(&self) {
        let head = self.scratch.git("remote", &["rev-parse", "main"]);
        let event = event("staging", &head, PASSED);
        let file = self.scratch.path("event.json");
        fs_err::write(&file, event).unwrap();
        run(&mut self.command("deployed", &["--event", file.to_str().unwrap()])).success();
    }
}

/// Named so in the folder that is given as home: where `release` finds models trained here.
fn path(artifact: &Artifact) -> String {
    artifact.path().display().to_string()
}

#[test]
fn a_release_pins_what_was_tried_and_a_second_one_finds_it() {
    let fork = Fork::new();
    let artifact = quick();
    let dry = run(&mut fork.release(&path(&artifact), &["--dry-run"]));
    says(&dry, 0, &["holds: accuracy", "nothing was changed", "would be made, tried, and pinned"]);
    assert_eq!(fork.releases(), 0);

    let released = run(&mut fork.release(&path(&artifact), &[]));
    let words = ["trying out mnist-api:", "is fit", "release(staging): unreleased ->", "published"];
    says(&released, 0, &words);
    assert!(released.stdout.contains("holds: accuracy"), "the gate's word is in the commit");
    let pin = fork.pin();
    assert_eq!(pin.model_digest, artifact.manifest().model_digest);
    says(&run(&mut fork.release(&path(&artifact), &[])), 0, &["nothing to do"]);

    // By the artifact's own image, as a pipeline that trained nothing would.
    fork.verify();
    let digest = index_digest(&fork, &format!("mnist-api-model:{}", pin.model_version()));
    let image = format!("mnist-api-model@{digest}");
    let again = run(&mut fork.release(&image, &["--env", "production"]));
    says(&again, 0, &["fetching mnist-api-model@", "release(production)"]);
    let production = fork.scratch.on_main(&environment("production").pin_file());
    assert_eq!(Pin::from_yaml(&production).unwrap(), pin);
}

/// What the layout's index calls an image.
fn index_digest(fork: &Fork, name: &str) -> String {
    let json = fs_err::read(fork.scratch.path("images/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let images = index["manifests"].as_array().unwrap();
    let named = images
        .iter()
        .find(|image| image["annotations"]["org.opencontainers.image.ref.name"] == name);
    named.unwrap()["digest"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "slow: a dozen releases"]
fn killed_at_any_moment_and_run_again_it_ends_as_if_nothing_had_happened() {
    let fork = Fork::new();
    let artifact = quick();
    let mut millis = 100;
    let mut kills = 0;
    loop {
        let mut release = fork.release(&path(&artifact), &[]);
        let told = fork.scratch.path("told");
        let file = fs_err::File::create(&told).unwrap().into_parts().0;
        let mut release = release.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        if let Some(status) = release.try_wait().unwrap() {
            let told = fs_err::read_to_string(told).unwrap();
            assert!(status.success(), "not killed and yet {status}: {told}");
            break;
        }
        release.kill().unwrap();
        release.wait().unwrap();
        kills += 1;
        millis = millis * 3 / 2;
    }
    assert!(kills > 3, "it was killed {kills} times only");
    says(&run(&mut fork.release(&path(&artifact), &[])), 0, &["nothing to do"]);
    assert_eq!(fork.releases(), 1);
    let clean = Fork::new();
    run(&mut clean.release(&path(&artifact), &[])).success();
    assert_eq!(fork.pin(), clean.pin());
}

#[test]
fn of_two_releases_at_once_none_overwrites_the_other_unseen() {
    let fork = Fork::new();
    let one = quick();
    let models = [path(&one), path(&quick_of(7))];
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let releases = models.each_ref().map(|model| {
            let fork = &fork;
            scope.spawn(move || run(&mut fork.release(model, &[])))
        });
        releases.into_iter().map(|release| release.join().unwrap()).collect()
    });
    // Whoever comes second was judged on a main that is gone, and is told so.
    let late: Vec<_> = ended.iter().filter(|ended| ended.code != Some(0)).collect();
    for ended in &late {
        says(ended, 75, &["try again", "hint: the same command again"]);
    }
    assert_eq!(fork.releases(), 2 - late.len());
    assert!(late.len() < 2, "{late:?}");
}

/// A learning rate so small that the weights stay what chance made them.
const NOTHING_LEARNED: &str = "\
net:
  blocks: [{ channels: 8, kernel: 5, stride: 2 }, { channels: 16, stride: 2 }]
  head: flatten
epochs: 1
batch: 128
schedule: { peak: 1e-7 }
";

#[test]
fn a_model_that_a_lax_gate_lets_pass_is_stopped_by_the_probes() {
    let fork = Fork::new();
    let recipe = fork.scratch.path("nothing-learned.yaml");
    fs_err::write(&recipe, NOTHING_LEARNED).unwrap();
    let data = e2e::data::task().data.name;
    let recipe = recipe.to_str().unwrap();
    let model = train(&fork.scratch.path("ignorant"), &["--recipe", recipe, "--data", &data]);
    let policy = fork.scratch.path("lax.yaml");
    let shipped = fs_err::read_to_string(repo::root().join("model/gate.yaml")).unwrap();
    let mut lax: serde_yaml::Value = serde_yaml::from_str(&shipped).unwrap();
    lax["min_accuracy"] = 0.into();
    lax["max_calibration_error"] = 1.into();
    lax["robustness"] = serde_yaml::from_str("{}").unwrap();
    fs_err::write(&policy, serde_yaml::to_string(&lax).unwrap()).unwrap();
    let args = ["--policy", policy.to_str().unwrap()];
    let refused = run(&mut fork.release(&model.display().to_string(), &args));
    says(&refused, 3, &["holds: accuracy", "the model is wrong", "is not fit", "hint: "]);
    assert_eq!((refused.stdout.as_str(), fork.releases()), ("", 0));
}
