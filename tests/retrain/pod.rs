//! The pod of `argocd/retrain`, run by an engine: each container as its manifest says, with the image that
//! `image trainer` builds.

use contract::artifact::Artifact;
use e2e::data;
use e2e::process::{Ended, command, run};
use e2e::registry::Registry;
use e2e::repo;
use serde_json::{Value, json};

use crate::fork::Fork;
use crate::scratch::{pin_of, says};

fn pod() -> Value {
    let manifest = fs_err::read_to_string(repo::root().join("argocd/retrain/cronjob.yaml"));
    let mut cron_job: Value = serde_yaml::from_str(&manifest.unwrap()).unwrap();
    cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"].take()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// What Kubernetes would start, beside the scratch folder and the task's data.
fn start(fork: &Fork, image: &str, container: &Value, also: &[&str]) -> Ended {
    let mut docker = command("docker", &repo::root());
    // The registry that the champion is fetched from is this machine's.
    docker.args(["run", "--rm", "--network", "host", "--read-only", "--cap-drop", "ALL"]);
    docker.args(["--user", "65532:65532", "--security-opt", "no-new-privileges"]);
    let scratch = fork.scratch.path("").display().to_string();
    for (outside, inside) in [
        (fork.scratch.path("work").display().to_string(), "/work"),
        (data::folder(&data::task()).display().to_string(), "/mirror"),
        (scratch.clone(), scratch.as_str()),
    ] {
        docker.args([
            "--volume",
            &format!("{}:{}", outside.trim_end_matches('/'), inside.trim_end_matches('/')),
        ]);
    }
    if let Some(folder) = container["workingDir"].as_str() {
        docker.args(["--workdir", folder]);
    }
    let words: Vec<&str> = texts(&container["command"]).chain(texts(&container["args"])).collect();
    let remote = fork.scratch.path("remote").display().to_string();
    let words: Vec<String> = words.iter().map(|word| word.replace("$(REMOTE)", &remote)).collect();
    docker.args(["--entrypoint", &words[0], image]).args(&words[1..]).args(also);
    run(&mut docker)
}

#[test]
fn it_trains_in_a_clone_of_its_own_and_the_branch_has_the_artifact() {
    let registry = Registry::start();
    let champion = e2e::model::quick();
    let models = tempfile::tempdir().unwrap();
    repo::copy(champion.path(), &models.path().join("models"));
    let archive =
        run(command("tar", models.path()).args(["--create", "--file", "layer", "models"]));
    archive.success();
    let layer = fs_err::read(models.path().join("layer")).unwrap();
    let version = champion.manifest().model_version.as_str();
    registry.push_image("o/api-model", version, &json!({}), &[layer]);
    let fork = Fork::of(pin_of(&registry.repository("o/api"), "1.0.0"));
    fork.scratch.git("remote", &["config", "core.sharedRepository", "0666"]);
    for folder in ["work", "store"] {
        fs_err::create_dir(fork.scratch.path(folder)).unwrap();
    }
    // A pod's user is nobody of this machine.
    run(command("chmod", &fork.scratch.path("")).args(["-R", "a+rwX", "."])).success();

    let built = run(command(repo::xtask(), &repo::root()).args(["image", "trainer"])).success();
    let image = built.stdout.trim_end();
    let pod = pod();
    start(&fork, image, &pod["initContainers"][0], &[]).success();
    let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("{pod}") };
    let done = start(
        &fork,
        image,
        container,
        &["--recipe", "quick", "--seed", "7", "--mirror", "/mirror"],
    );
    says(
        &done,
        0,
        &[
            "fetching 127.0.0.1",
            "holds: accuracy",
            "A model to release",
            "pushed as retrain/staging/",
        ],
    );
    let [branch] = &fork.branches()[..] else { panic!("{:?}", fork.branches()) };
    let author = fork.scratch.git("remote", &["log", "-1", "--format=%an", branch]);
    assert_eq!(author, "mnist-api-gitops");
    fork.scratch.add_clone("releaser");
    fork.scratch.git("releaser", &["switch", "--quiet", branch]);
    let mut pull = command(repo::release_binary("mlops"), &fork.scratch.path("releaser"));
    run(pull.args(["data", "pull"])).success();
    let version = branch.rsplit('/').next().unwrap();
    let name = format!("artifacts/{}-{version}", data::task().data.name);
    let pulled = Artifact::open(&fork.scratch.path("releaser").join(name)).unwrap();
    assert_eq!(pulled.manifest().training.seed, 7);
    assert_eq!(pulled.manifest().model_version.as_str(), version);
}
