//! A fork whose production runs a model, with all that a training reads.

use std::process::Command;

use contract::artifact::Artifact;
use contract::manifest::Manifest;
use e2e::data;
use e2e::model::quick;
use e2e::process::{Ended, command, run};
use e2e::repo;
use gitops::pin::Pin;

use crate::scratch::{Scratch, pin_in};

/// What is built is there.
const CARGO: &str = "#!/bin/sh\n[ \"$1\" = build ]\n";
/// A fork whose production runs the `quick` model, and somebody's clone of it.
pub(crate) struct Fork {
    pub(crate) scratch: Scratch,
    pub(crate) champion: Artifact,
}

impl Fork {
    /// Whose images no registry has.
    pub(crate) fn new() -> Self {
        Self::of(pin_in("gone", "1.0.0"))
    }

    /// Production's pin, but for the model.
    pub(crate) fn of(pin: Pin) -> Self {
        let (scratch, champion) = (Scratch::new(), quick());
        let human = scratch.path("human");
        let mut copy = command("cp", &repo::root());
        copy.args([
            "-R",
            "--parents",
            ".gitignore",
            ".dockerignore",
            "Dockerfile",
            "model/recipes",
        ]);
        run(copy.args(["model/gate.yaml", "model/task.yaml"]).arg(&human)).success();
        fs_err::create_dir(human.join(".dvc")).unwrap();
        let store = scratch.path("store").display().to_string();
        let settings =
            format!("[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n");
        fs_err::write(human.join(".dvc/config"), settings).unwrap();
        fs_err::write(human.join(".dvc/.gitignore"), "/cache\n/tmp\n").unwrap();
        scratch.git("human", &["add", "."]);
        scratch.git("human", &["commit", "--quiet", "-m", "a model's surroundings"]);
        scratch.git("human", &["push", "--quiet", "origin", "main"]);
        let pin = Pin { model_digest: champion.manifest().model_digest, ..pin };
        scratch.verified("production", &pin);
        scratch.git("clone", &["pull", "--quiet", "--ff-only"]);
        // As one that was trained here.
        let version = &champion.manifest().model_version;
        repo::copy(
            champion.path(),
            &scratch.path("clone").join(format!("artifacts/quick-{version}")),
        );
        fs_err::create_dir(scratch.path("programs")).unwrap();
        let cargo = scratch.path("programs/cargo");
        fs_err::write(&cargo, CARGO).unwrap();
        run(command("chmod", &scratch.path("")).arg("+x").arg(cargo)).success();
        Self { scratch, champion }
    }

    pub(crate) fn retrain(&self, args: &[&str]) -> Ended {
        let images = self.scratch.path("images").display().to_string();
        run(&mut self.xtask(&[&["retrain", "--layout", &images], args].concat()))
    }

    pub(crate) fn xtask(&self, args: &[&str]) -> Command {
        let mut xtask = command(repo::xtask(), &self.scratch.path("clone"));
        let mut path = self.scratch.path("programs").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        xtask.env("PATH", path);
        for own in ["XTASK_HOME", "XTASK_CLONE", "XTASK_REMOTE"] {
            xtask.env_remove(own);
        }
        let mirror = data::folder(&data::task()).display().to_string();
        xtask.args(args).args(["--mirror", &mirror]);
        xtask
    }

    /// The shipped one but for what it asks of records.
    pub(crate) fn policy(&self, replay: &str) -> String {
        let shipped = fs_err::read_to_string(repo::root().join("model/gate.yaml")).unwrap();
        let (before, rest) = shipped.split_once("\nreplay: ").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        let policy = self.scratch.path("gate.yaml");
        fs_err::write(&policy, format!("{before}\nreplay: {replay}\n{after}")).unwrap();
        policy.display().to_string()
    }

    /// What Git does not know, or knows otherwise.
    pub(crate) fn changes(&self) -> String {
        self.scratch.git("clone", &["status", "--porcelain"])
    }

    pub(crate) fn branches(&self) -> Vec<String> {
        let listed = self.scratch.git("remote", &["branch", "--format=%(refname:short)"]);
        listed.lines().filter(|name| *name != "main").map(str::to_owned).collect()
    }

    pub(crate) fn shown(&self, object: &str) -> String {
        self.scratch.git("remote", &["show", object])
    }

    /// The model that a branch is about.
    pub(crate) fn trained(&self, branch: &str) -> Manifest {
        let version = branch.rsplit('/').next().unwrap();
        let name = format!("artifacts/{}-{version}", data::task().data.name);
        Artifact::open(&self.scratch.path("clone").join(name)).unwrap().manifest().clone()
    }
}
