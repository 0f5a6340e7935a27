//! `xtask` in a container, as a pod that handles reports has it.

use e2e::process::{Ended, command, run, run_with_input};
use e2e::repo;

use crate::scratch::{PASSED, Scratch, WRONG_MODEL, event, pin, says};

fn image() -> String {
    run(command(repo::xtask(), &repo::root()).args(["image", "gitops"])).success().stdout
}

/// A read-only root, nobody's user, no capability, and one empty folder to write to.
fn xtask(image: &str, scratch: &Scratch, args: &[&str], input: &str) -> Ended {
    let remote = format!("{}:/remote", scratch.path("remote").display());
    let mut docker = command("docker", &repo::root());
    // The registry that the images are looked up in is this machine's.
    docker.args(["run", "--rm", "--interactive", "--network", "host", "--read-only"]);
    docker.args(["--user", "65532:65532", "--cap-drop", "ALL"]);
    docker.args(["--security-opt", "no-new-privileges", "--tmpfs", "/clone:mode=1777"]);
    docker.args(["--env", "XTASK_REMOTE=/remote", "--volume", &remote]);
    docker.arg(image).args(args);
    run_with_input(&mut docker, input.as_bytes())
}

#[test]
fn a_pod_without_a_checkout_handles_reports() {
    let image = image();
    let image = image.trim_end();
    let mut receiver = command("docker", &repo::root());
    receiver.args(["run", "--rm", "--entrypoint", "gitops-listen", image, "--help"]);
    assert!(run(&mut receiver).success().stdout.contains("--spool <DIR>"));
    let scratch = Scratch::new();
    // The container's user is nobody here, and folders that this user's pushes add must be open too.
    scratch.git("remote", &["config", "core.sharedRepository", "0666"]);
    run(command("chmod", &repo::root()).args(["-R", "a+rwX"]).arg(scratch.path("remote")))
        .success();
    run(command("chmod", &repo::root()).arg("a+rx").arg(scratch.path(""))).success();
    says(&xtask(image, &scratch, &["status"], ""), 0, &["staging     unreleased"]);

    let handle = |event: &str, words: &[&str]| {
        let ended = xtask(image, &scratch, &["rollback", "--auto", "--event", "-"], event);
        says(&ended, 0, words);
    };
    let good = scratch.release("staging", &pin("1.0.0"));
    handle(&event("staging", &good, PASSED), &["verified(staging)", "published"]);
    let bad = scratch.release("staging", &pin("1.1.0"));
    let wrong = event("staging", &bad, WRONG_MODEL);
    handle(&wrong, &["This reverts commit", "is quarantined", "published"]);
    handle(&wrong, &["nothing to do: this was already dealt with"]);
    let author = scratch.git("remote", &["log", "-1", "--format=%an", "main"]);
    assert_eq!(author, "mnist-api-gitops");
}
