//! `release` by a real engine to a real registry, and what may go wrong on the way.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use contract::digest::Digest;
use e2e::model::quick;
use e2e::process::{command, run, xtask};
use e2e::registry::Registry;
use e2e::repo;
use gitops::pin::Pin;
use serde_json::Value;

use crate::image::{docker, engine, forget};
use crate::scratch::{Scratch, environment, says};
use crate::signing;

/// A fork's remote and a registry; released to from the checkout that the tests run in.
struct Fork {
    scratch: Scratch,
    registry: Registry,
}

impl Fork {
    fn new(registry: Registry) -> Self {
        Self { scratch: Scratch::new(), registry }
    }

    fn repository(&self) -> String {
        self.registry.repository("team/mnist-api")
    }

    fn release(&self, model: &str) -> Command {
        let path = |name: &str| self.scratch.path(name).display().to_string();
        let mut command = xtask(&self.scratch.path("home"));
        command.args(["release", "--remote", &path("remote"), "--clone", &path("through")]);
        command.args(["--image", &self.repository(), "--allow-dirty", "--model", model]);
        command.env("DOCKER_CONFIG", path(""));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A Pipeline");
            command.env(format!("GIT_{who}_EMAIL"), "pipeline@example.org");
        }
        command
    }

    fn pinned(&self) -> Option<Pin> {
        Pin::from_yaml(&self.scratch.on_main(&environment("staging").pin_file())).ok()
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        forget(&self.repository());
    }
}

fn model() -> String {
    quick().path().display().to_string()
}

#[test]
fn what_is_pinned_is_what_the_registry_has_and_a_second_run_finds_it() {
    let _engine = engine();
    let fork = Fork::new(Registry::start());
    says(&run(&mut fork.release(&model())), 0, &["pushing", "is fit", "published"]);
    let pin = fork.pinned().unwrap();
    assert!(fork.registry.blob(pin.image.digest()).is_file());
    assert_eq!(pin.model_digest, quick().manifest().model_digest);
    says(&run(&mut fork.release(&model())), 0, &["nothing to do"]);

    // Nothing trained here: the artifact comes from its own image.
    let models = format!("{}-model", fork.repository());
    let tagged = format!("{models}:{}", pin.model_version());
    let digests = docker(&["image", "inspect", "--format", "{{json .RepoDigests}}", &tagged]);
    let digests: Vec<String> = serde_json::from_str(&digests.success().stdout).unwrap();
    let image = digests.iter().find(|name| name.starts_with(&models)).unwrap();
    says(&run(&mut fork.release(image)), 0, &["fetching", "nothing to do"]);

    // Somebody's disk forgets a bit.
    let layer = layer_of(&fork.registry, image.rsplit_once('@').unwrap().1);
    let mut bytes = fs_err::read(fork.registry.blob(layer)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(fork.registry.blob(layer), bytes).unwrap();
    let refused = run(&mut fork.release(image));
    says(&refused, 1, &["unpacking sha256:"]);
    assert_eq!(refused.stdout, "");
}

#[test]
fn a_release_is_signed_where_main_demands_it_and_refused_before_work_without_a_key() {
    let _engine = engine();
    let fork = Fork::new(Registry::start());
    signing::make_key(&fork.scratch, "cosign");
    signing::demand(&fork.scratch, "cosign");
    let refused = run(&mut fork.release(&model()));
    says(&refused, 1, &["none was named", "hint: --signing-key FILE"]);
    assert_eq!(fork.registry.bytes(), 0);

    let key = fork.scratch.path("cosign.key");
    let signed = || {
        let mut release = fork.release(&model());
        release.arg("--signing-key").arg(&key).env("COSIGN_PASSWORD", signing::PASSWORD);
        run(&mut release)
    };
    says(&signed(), 0, &["signing ", "published"]);
    says(&signed(), 0, &["is signed already", "nothing to do"]);
}

fn layer_of(registry: &Registry, manifest: &str) -> Digest {
    let manifest = fs_err::read(registry.blob(manifest.parse().unwrap())).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_registry_that_dies_in_the_middle_costs_a_second_try_and_no_more() {
    let _engine = engine();
    let mut fork = Fork::new(Registry::start());
    let mut release = fork.release(&model());
    let mut release = release.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(3);
    while fork.registry.bytes() < 20_000_000 {
        assert!(Instant::now() < deadline && release.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    fork.registry.kill();
    let ended = release.wait_with_output().unwrap();
    assert!(!ended.status.success() && ended.stdout.is_empty());
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("hint: `docker login`"), "{told}");
    assert_eq!(fork.pinned(), None);

    fork.registry.restart();
    run(&mut fork.release(&model())).success();
    let whole = Fork::new(Registry::start());
    run(&mut whole.release(&model())).success();
    let digest = |fork: &Fork| fork.pinned().unwrap().image.digest();
    assert_eq!(digest(&fork), digest(&whole));
}

#[test]
fn without_the_right_login_nothing_is_pushed_or_pinned_and_with_it_all_is() {
    let _engine = engine();
    let fork = Fork::new(Registry::start_locked());
    let config = fork.scratch.path("");
    for auth in ["", "dGVzdGVyOndyb25n"] {
        fork.registry.login(&config, auth);
        let refused = run(&mut fork.release(&model()));
        says(&refused, 1, &["hint: "]);
        assert_eq!((refused.stdout.as_str(), fork.pinned()), ("", None));
    }
    fork.registry.login(&config, Registry::auth());
    says(&run(&mut fork.release(&model())), 0, &["published"]);
    says(&run(&mut fork.release(&model())), 0, &["nothing to do"]);
}

#[test]
fn a_tag_that_somebody_moved_is_not_taken_for_what_it_says() {
    let _engine = engine();
    if is_dirty() {
        // The name of uncommitted content is made anew each time, and so is never looked up.
        return;
    }
    let fork = Fork::new(Registry::start());
    run(&mut fork.release(&model())).success();
    let pin = fork.pinned().unwrap();
    let tagged = format!("{}:{}", fork.repository(), pin.image.tag());
    let models = format!("{}-model:{}", fork.repository(), pin.model_version());
    let folder = tempfile::tempdir().unwrap();
    let none = "0".repeat(64);
    let text = format!("FROM {models}\nLABEL mnist-api.model.digest=sha256:{none}\n");
    fs_err::write(folder.path().join("Dockerfile"), text).unwrap();
    docker(&["build", "--quiet", "--tag", &tagged, folder.path().to_str().unwrap()]).success();
    docker(&["push", "--quiet", &tagged]).success();
    says(
        &run(&mut fork.release(&model())),
        1,
        &["already exists with", &none, "mnist-api.model.digest", "hint: delete"],
    );
    assert_eq!(fork.pinned().unwrap(), pin);
}

/// Whether what the image is built from differs from every commit.
fn is_dirty() -> bool {
    let mut git = command("git", &repo::root());
    git.args(["status", "--porcelain", "--", "app", "model", "Cargo.toml", "Cargo.lock"]);
    let listed = run(git.arg("Dockerfile")).success().stdout;
    !listed.is_empty()
}
