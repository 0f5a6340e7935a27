//! Versioned data that not everybody may read: one step of `release` pulls it, by real `mlops`, and it alone is given
//! what the remote asks for.

use e2e::process::{command, run};
use e2e::repo;
use serde_json::{Value, json};

use crate::runner::{Ended, Runner};
use crate::scratch::Scratch;

/// A fork that has a pointer to its pictures, which are on a remote.
fn fork() -> Scratch {
    let scratch = Scratch::new();
    let human = scratch.path("human");
    let data = |args: &[&str]| {
        let mut mlops = command(repo::release_binary("mlops"), &human);
        run(mlops.arg("data").args(args)).success();
    };
    fs_err::create_dir(human.join("photos")).unwrap();
    fs_err::write(human.join("photos/one"), "a picture").unwrap();
    data(&["add", "photos"]);
    let url = scratch.path("store").display().to_string();
    let config = format!("[core]\n    remote = store\n['remote \"store\"']\n    url = {url}\n");
    fs_err::write(human.join(".dvc/config"), config).unwrap();
    data(&["push"]);
    scratch.git("human", &["add", "--all"]);
    scratch.git("human", &["commit", "--quiet", "-m", "data"]);
    scratch.git("human", &["push", "--quiet", "origin", "main"]);
    scratch.git("clone", &["pull", "--quiet", "--ff-only", "origin", "main"]);
    scratch
}

/// What `release` does about data, where it is to train or takes `model` instead.
fn pull(scratch: &Scratch, settings: &[(&str, &str)], model: &str) -> Ended {
    // As the step before has built it.
    let built = scratch.path("clone/target/release");
    if !built.exists() {
        fs_err::create_dir_all(built.parent().unwrap()).unwrap();
        let programs = repo::release_binary("mlops");
        fs_err::os::unix::fs::symlink(programs.parent().unwrap(), built).unwrap();
    }
    let runner = Runner::new(scratch);
    let runner = settings.iter().fold(runner, |runner, (name, value)| runner.set(name, value));
    let steps = ["Become who may read the data", "Pull the data"];
    let ended = runner.take("release", &steps, json!({ "inputs": { "model": model } }));
    ended.succeeds();
    ended
}

#[test]
fn it_is_there_for_the_training_and_a_secret_that_nobody_set_is_none() {
    let scratch = fork();
    let ended = pull(&scratch, &[], "");
    assert_eq!(ended.commands, ["xtask data pull"]);
    let picture = fs_err::read_to_string(scratch.path("clone/photos/one")).unwrap();
    assert_eq!(picture, "a picture");
    // As the training asks for it, without any of this.
    fs_err::remove_dir_all(scratch.path("store")).unwrap();
    pull(&scratch, &[], "");
}

#[test]
fn who_pulls_it_is_given_a_key_or_a_role_and_the_role_is_preferred() {
    let scratch = fork();
    let key = [("secrets.AWS_ACCESS_KEY_ID", "an id"), ("secrets.AWS_SECRET_ACCESS_KEY", "a key")];
    let role =
        [("vars.AWS_ROLE_ARN", "arn:aws:iam::1:role/reader"), ("vars.AWS_REGION", "eu-west-1")];
    let others =
        [("secrets.AZURE_STORAGE_ACCOUNT_KEY", "a"), ("secrets.GOOGLE_SERVICE_ACCOUNT_KEY", "g")];
    let seen_by_role = [
        "AWS_ACCESS_KEY_ID=a-role's id",
        "AWS_REGION=eu-west-1",
        "AWS_SECRET_ACCESS_KEY=a-role's key",
        "AWS_SESSION_TOKEN=a-role's token",
    ];
    let seen_otherwise = ["AZURE_STORAGE_ACCOUNT_KEY=a", "GOOGLE_SERVICE_ACCOUNT_KEY=g"];
    for (settings, seen) in [
        (key.to_vec(), &["AWS_ACCESS_KEY_ID=an id", "AWS_SECRET_ACCESS_KEY=a key"][..]),
        ([key, role].concat(), &seen_by_role),
        (others.to_vec(), &seen_otherwise),
    ] {
        let ended = pull(&scratch, &settings, "");
        let mut commands = vec!["xtask data pull".to_owned()];
        commands.extend(seen.iter().map(|seen| format!("data sees {seen}")));
        assert_eq!(ended.commands, commands);
        let roles: Vec<&Value> =
            ended.used.iter().map(|(_, with)| &with["role-to-assume"]).collect();
        let has_role = settings.contains(&role[0]);
        assert_eq!(roles, if has_role { vec![role[0].1] } else { Vec::new() });
    }
}

#[test]
fn nothing_is_asked_for_where_nothing_is_versioned_or_trained() {
    let role = [("vars.AWS_ROLE_ARN", "arn:aws:iam::1:role/reader")];
    for (scratch, model) in [(Scratch::new(), ""), (fork(), "sha256:1")] {
        let ended = pull(&scratch, &role, model);
        assert_eq!((ended.commands, ended.used), (Vec::new(), Vec::new()), "{model}");
    }
}
