//! Built and run by a real engine, pushed to a real registry.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::artifact::Artifact;
use e2e::data;
use e2e::http::Http;
use e2e::model::{quick, train};
use e2e::process::{Ended, command, run};
use e2e::registry::Registry;
use e2e::repo;
use gitops::image_reference::ImageReference;
use serde_json::Value;

/// Engines build one image at a time, and these tests look at all that is running.
pub(crate) fn engine() -> MutexGuard<'static, ()> {
    static ENGINE: Mutex<()> = Mutex::new(());
    ENGINE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn docker(args: &[&str]) -> Ended {
    run(command("docker", &repo::root()).args(args))
}

fn inspect(image: &str) -> Value {
    let told = docker(&["image", "inspect", image]).success().stdout;
    serde_json::from_str::<Value>(&told).unwrap()[0].take()
}

fn build(artifact: &Path, args: &[&str]) -> String {
    let mut xtask = command(repo::xtask(), &repo::root());
    xtask.args(["image", "build", "--model"]).arg(artifact).args(args);
    run(&mut xtask).success().stdout.trim_end().to_owned()
}

fn smoke(image: &str, args: &[&str]) -> Ended {
    run(command(repo::xtask(), &repo::root()).args(["image", "smoke", image]).args(args))
}

#[track_caller]
fn nothing_is_left_running() {
    let filter = "name=mnist-api-smoke-";
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", filter]).success().stdout, "");
}

/// Removes the names that a push gave to images here.
pub(crate) fn forget(registry: &str) {
    let list = ["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter"];
    let filter = format!("reference={registry}*");
    let named = docker(&[&list[..], &[&filter]].concat()).success().stdout;
    // One without a tag goes with the image it once was.
    for name in named.lines().filter(|name| !name.contains("<none>")) {
        docker(&["rmi", name]).success();
    }
}

/// Of another task even.
fn other_model() -> Artifact {
    let (folder, task) = (repo::scratch().join("other"), data::toy());
    let args = ["--task", task.to_str().unwrap(), "--recipe", "quick"];
    Artifact::open(&train(&folder, &args)).unwrap()
}

#[test]
fn an_image_answers_under_the_name_of_its_content() {
    let _engine = engine();
    let artifact = quick();
    let image = build(artifact.path(), &[]);
    let version = artifact.manifest().model_version.as_str();
    assert!(image.starts_with("mnist-api:") && image.ends_with(version), "{image}");
    assert_eq!(build(artifact.path(), &[]), image);
    let fit = smoke(&image, &[]).success();
    let report: Value = serde_json::from_str(&fit.stdout).unwrap();
    assert_eq!(report["verdict"], "ok", "{report}");
    let digest = artifact.manifest().model_digest.to_string();
    assert_eq!(inspect(&image)["Config"]["Labels"]["mnist-api.model.digest"], digest);
    nothing_is_left_running();
}

#[test]
fn an_image_has_no_more_than_it_needs() {
    let _engine = engine();
    let image = build(quick().path(), &[]);
    let about = inspect(&image);
    let config = &about["Config"];
    assert_eq!(config["User"], "65532:65532");
    let megabytes = about["Size"].as_u64().unwrap() / 1_000_000;
    assert!(megabytes <= 520, "{megabytes} MB");
    let label = |name: &str| config["Labels"][name].as_str().unwrap_or_default().to_owned();
    let version = label("org.opencontainers.image.version");
    assert!(image.contains(&format!(":{version}-")), "{image} {version}");
    assert_eq!(label("org.opencontainers.image.revision").len(), 40);
    let environment: Vec<&str> =
        config["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(environment.contains(&format!("APP_VERSION={version}").as_str()), "{environment:?}");
    for shell in ["/bin/sh", "/bin/bash", "/busybox/sh", "/usr/bin/python3", "/usr/bin/apt-get"] {
        let ended = docker(&["run", "--rm", "--entrypoint", shell, &image, "-c", "true"]);
        assert_eq!(ended.code, Some(127), "{shell}: {}", ended.stderr);
    }
}

#[test]
fn the_image_knows_how_to_ask_for_its_own_health() {
    let _engine = engine();
    let image = build(quick().path(), &[]);
    let check = inspect(&image)["Config"]["Healthcheck"]["Test"].clone();
    let check: Vec<&str> = check.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(check[0], "CMD");
    let started = docker(&["run", "--detach", "--rm", "--read-only", &image]).success().stdout;
    let container = started.trim();
    let deadline = Instant::now() + Duration::from_secs(30);
    let healthy = loop {
        let ended = docker(&[&["exec", container], &check[1..]].concat());
        if ended.code == Some(0) || Instant::now() > deadline {
            break ended;
        }
    };
    let stopping = Instant::now();
    docker(&["stop", "--time", "30", container]).success();
    // It ends by itself on SIGTERM, once it stopped accepting.
    assert!(stopping.elapsed() < Duration::from_secs(20));
    assert_eq!(healthy.code, Some(0), "{}", healthy.stderr);
}

#[test]
fn what_is_not_fit_is_refused_by_kind_and_nothing_is_left_running() {
    let _engine = engine();
    let image = build(quick().path(), &[]);
    let folder = tempfile::tempdir().unwrap();

    // Another task's answers: as if the model had learned the wrong thing.
    let probes = folder.path().join("probes.json");
    let json = fs_err::read(repo::root().join("kustomize/base/smoke/probes.json")).unwrap();
    let mut labelled: Value = serde_json::from_slice(&json).unwrap();
    let classes = labelled["classes"].as_array().unwrap().len() as u64;
    for probe in labelled["probes"].as_array_mut().unwrap() {
        probe["label"] = ((probe["label"].as_u64().unwrap() + 1) % classes).into();
    }
    fs_err::write(&probes, labelled.to_string()).unwrap();
    let wrong = smoke(&image, &["--probes", probes.to_str().unwrap()]);
    assert_eq!(wrong.code, Some(43), "{}", wrong.stderr);
    nothing_is_left_running();

    // It serves another model than its label promises.
    let lying = "mnist-api:lying";
    let dockerfile = folder.path().join("Dockerfile");
    let none = "0".repeat(64);
    let text = format!("FROM {image}\nLABEL mnist-api.model.digest=sha256:{none}\n");
    fs_err::write(&dockerfile, text).unwrap();
    docker(&["build", "--quiet", "--tag", lying, folder.path().to_str().unwrap()]).success();
    let wrong = smoke(lying, &["--deadline", "2s"]);
    assert_eq!(wrong.code, Some(42), "{}", wrong.stderr);

    // It never starts.
    fs_err::write(&dockerfile, format!("FROM {image}\nENV LISTEN=nowhere\n")).unwrap();
    docker(&["build", "--quiet", "--tag", lying, folder.path().to_str().unwrap()]).success();
    let dead = smoke(lying, &["--deadline", "2s"]);
    assert!(dead.code != Some(0) && dead.stderr.contains("nowhere"), "{dead:?}");

    docker(&["rmi", lying]).success();
    nothing_is_left_running();
    let missing = smoke("mnist-api:never-built", &[]);
    assert!(missing.stderr.contains("hint: `cargo xtask image build`"), "{}", missing.stderr);
}

#[test]
fn an_interrupted_smoke_test_takes_its_containers_along() {
    let _engine = engine();
    let image = build(quick().path(), &[]);
    let folder = tempfile::tempdir().unwrap();
    let none = "0".repeat(64);
    // It waits for a model that never comes.
    let text = format!("FROM {image}\nLABEL mnist-api.model.digest=sha256:{none}\n");
    fs_err::write(folder.path().join("Dockerfile"), text).unwrap();
    let waiting = "mnist-api:waiting";
    docker(&["build", "--quiet", "--tag", waiting, folder.path().to_str().unwrap()]).success();
    let mut xtask = command(repo::xtask(), &repo::root());
    xtask.args(["image", "smoke", waiting, "--deadline", "5m"]);
    let mut xtask = xtask.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let running = || docker(&["ps", "--quiet", "--filter", "name=mnist-api-smoke-"]).stdout;
    let deadline = Instant::now() + Duration::from_secs(30);
    while running().lines().count() < 2 {
        assert!(Instant::now() < deadline && xtask.try_wait().unwrap().is_none());
    }
    run(command("kill", &repo::root()).args(["-INT", &xtask.id().to_string()])).success();
    xtask.wait().unwrap();
    docker(&["rmi", waiting]).success();
    nothing_is_left_running();
}

#[test]
fn another_model_is_one_small_layer_and_the_registry_has_what_was_printed() {
    let _engine = engine();
    let registry = Registry::start();
    let repository = registry.repository("team/mnist-api");
    let (artifact, other) = (quick(), other_model());
    let first = build(artifact.path(), &["--push", &repository]);
    let before = registry.bytes();
    let started = Instant::now();
    let second = build(other.path(), &["--push", &repository]);
    let (took, pushed) = (started.elapsed(), registry.bytes() - before);
    eprintln!("first push {before} bytes; another model {pushed} bytes, {took:?}");
    assert!(pushed <= 15_000_000, "{pushed} bytes");
    assert!(took <= Duration::from_secs(20), "{took:?}");

    let layers = |image: &str| inspect(image)["RootFS"]["Layers"].as_array().unwrap().clone();
    let (one, two) = (layers(&first), layers(&second));
    assert_eq!(one.len(), two.len());
    let same = one.iter().zip(&two).take_while(|(one, two)| one == two).count();
    assert_eq!(same, one.len() - 1);

    for (printed, artifact) in [(&first, &artifact), (&second, &other)] {
        let reference: ImageReference = printed.parse().unwrap();
        assert_eq!(reference.repository(), repository);
        assert!(reference.tag().ends_with(artifact.manifest().model_version.as_str()));
        let path = format!("/v2/team/mnist-api/manifests/{}", reference.tag());
        let digest = registry_digest(&registry, &path);
        assert_eq!(digest, reference.digest().to_string());
        docker(&["rmi", printed]).success();
    }
    // The same content again is the same digest, and nothing new to push.
    let full = registry.bytes();
    assert_eq!(build(artifact.path(), &["--push", &repository]), first);
    assert_eq!(registry.bytes(), full);
    let model = format!("/v2/team/mnist-api-model/manifests/{}", other.manifest().model_version);
    assert!(registry_digest(&registry, &model).starts_with("sha256:"));
    forget(&repository);
}

fn registry_digest(registry: &Registry, path: &str) -> String {
    // Without this the registry may answer in an older form, of another digest.
    let accept = "application/vnd.docker.distribution.manifest.v2+json";
    let reply = Http::default().get_as(&registry.url(path), accept).unwrap();
    reply.header("docker-content-digest").unwrap_or_default().to_owned()
}

#[test]
fn a_push_that_cannot_arrive_says_so() {
    let _engine = engine();
    let repository = format!("127.0.0.1:{}/mnist-api", e2e::server::free_port());
    let mut xtask = command(repo::xtask(), &repo::root());
    xtask.args(["image", "build", "--push", &repository, "--model"]).arg(quick().path());
    let failed = run(&mut xtask);
    forget(&repository);
    assert!(failed.code != Some(0) && failed.stdout.is_empty(), "{failed:?}");
    assert!(failed.stderr.contains("hint: `docker login`"), "{}", failed.stderr);
}
