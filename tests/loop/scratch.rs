//! A fork with a remote, releases made by hand, and a registry that has whatever its name says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use contract::digest::Digest;
use e2e::process::{Ended, command, run, run_with_input};
use e2e::repo;
use gitops::environment::{Environment, Part};
use gitops::event::{Event, Observation, Proof};
use gitops::pin::Pin;
use gitops::verdict::Verdict;
use jiff::Timestamp;
use tempfile::TempDir;

pub(crate) const PASSED: Observation = Observation::Deployed(Proof::SmokePassed);
pub(crate) const WRONG_MODEL: Observation = Observation::Failed(Verdict::ModelWrong);

pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// As a fork begins: pushed, and never released.
    pub(crate) fn new() -> Self {
        let scratch = Self { folder: tempfile::tempdir().unwrap() };
        scratch.git("", &["init", "--quiet", "--bare", "-b", "main", "remote"]);
        scratch.git("", &["clone", "--quiet", "remote", "human"]);
        let human = scratch.path("human");
        let copy = command("cp", &repo::root())
            .args(["-R", "kustomize", &human.display().to_string()])
            .status();
        assert!(copy.unwrap().success());
        // What makes a folder a checkout to `xtask`.
        fs_err::create_dir(human.join("xtask")).unwrap();
        fs_err::write(human.join("xtask/Cargo.toml"), "").unwrap();
        scratch.identify("human");
        scratch.git("human", &["switch", "--quiet", "--create", "main"]);
        scratch.git("human", &["add", "."]);
        scratch.git("human", &["commit", "--quiet", "-m", "begin"]);
        scratch.git("human", &["push", "--quiet", "origin", "main"]);
        scratch.add_clone("clone");
        scratch
    }

    pub(crate) fn add_clone(&self, name: &str) {
        self.git("", &["clone", "--quiet", "remote", name]);
        self.identify(name);
    }

    fn identify(&self, clone: &str) {
        self.git(clone, &["config", "user.name", "A Person"]);
        self.git(clone, &["config", "user.email", "person@example.org"]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    pub(crate) fn git(&self, clone: &str, args: &[&str]) -> String {
        run(command("git", &self.path(clone)).args(args)).success().stdout.trim_end().to_owned()
    }

    pub(crate) fn xtask(&self, args: &[&str]) -> Ended {
        self.xtask_in("clone", args, "")
    }

    /// Words of a command line, none of which needs quotes.
    pub(crate) fn xtask_in(&self, clone: &str, args: &[&str], input: &str) -> Ended {
        let mut xtask = command(repo::xtask(), &self.path(clone));
        for proxy in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
            xtask.env_remove(proxy);
        }
        // Whoever runs these tests may keep artifacts elsewhere; here they are the clone's.
        for own in ["XTASK_HOME", "XTASK_CLONE", "XTASK_REMOTE"] {
            xtask.env_remove(own);
        }
        // As in a hook, where Git says which repository it is about: not the one that is meant here.
        xtask.env("GIT_DIR", self.path("nowhere"));
        xtask.env("DOCKER_CONFIG", self.folder.path()).args(args);
        run_with_input(&mut xtask, input.as_bytes())
    }

    /// A commit of somebody else, pushed.
    pub(crate) fn commit(&self, message: &str, path: &str, content: &str) -> String {
        self.git("human", &["pull", "--quiet", "--ff-only", "origin", "main"]);
        fs_err::write(self.path("human").join(path), content).unwrap();
        self.git("human", &["add", path]);
        self.git("human", &["commit", "--quiet", "-m", message]);
        self.git("human", &["push", "--quiet", "origin", "main"]);
        self.git("human", &["rev-parse", "HEAD"])
    }

    pub(crate) fn release(&self, environment: &str, pin: &Pin) -> String {
        let message = format!("release({environment}): {pin}\n\nChange-Kind: release");
        self.commit(&message, &self::environment(environment).pin_file(), &pin.to_yaml())
    }

    /// A release by somebody whose clock is wrong.
    pub(crate) fn release_dated(&self, environment: &str, pin: &Pin, date: &str) -> String {
        self.release(environment, pin);
        let human = self.path("human");
        let mut git = command("git", &human);
        git.args(["commit", "--quiet", "--amend", "--no-edit"]).env("GIT_COMMITTER_DATE", date);
        run(&mut git).success();
        self.git("human", &["push", "--quiet", "--force", "origin", "main"]);
        self.git("human", &["rev-parse", "HEAD"])
    }

    pub(crate) fn report(&self, event: &str) -> Ended {
        self.xtask_in("clone", &["rollback", "--auto", "--event", "-"], event)
    }

    /// Released and found good.
    pub(crate) fn verified(&self, environment: &str, pin: &Pin) -> String {
        let commit = self.release(environment, pin);
        self.report(&event(environment, &commit, PASSED)).success();
        commit
    }

    /// Every name on the remote and where it points to.
    pub(crate) fn refs(&self) -> String {
        self.git("remote", &["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// A file as main has it.
    pub(crate) fn on_main(&self, path: &str) -> String {
        run(command("git", &self.path("remote")).args(["show", &format!("main:{path}")])).stdout
    }

    pub(crate) fn titles(&self) -> Vec<String> {
        let titles = self.git("remote", &["log", "--format=%s", "main"]);
        titles.lines().map(str::to_owned).collect()
    }
}

pub(crate) fn environment(name: &str) -> Environment {
    match Part::of(&format!("kustomize/overlays/{name}/release/kustomization.yaml")) {
        Part::Pin(environment) => environment,
        part => panic!("{part:?}"),
    }
}

pub(crate) fn event(name: &str, revision: &str, observation: Observation) -> String {
    Event {
        environment: environment(name),
        revision: Some(revision.parse().unwrap()),
        observed_at: Timestamp::now(),
        observation,
        evidence: vec!["seen by a test".to_owned()],
    }
    .to_json()
}

pub(crate) fn pin(version: &str) -> Pin {
    pin_of(&format!("127.0.0.1:{}/o/api", registry()), version)
}

/// The registry answers for `gone/…` that it is not there, for `broken/…` with a failure, and for `private/…`
/// only who is logged in.
pub(crate) fn pin_in(folder: &str, version: &str) -> Pin {
    pin_of(&format!("127.0.0.1:{}/{folder}/api", registry()), version)
}

pub(crate) fn pin_of(repository: &str, version: &str) -> Pin {
    let image = Digest::of(version.as_bytes());
    Pin {
        image: format!("{repository}:{version}@{image}").parse().unwrap(),
        app_version: version.parse().unwrap(),
        model_digest: Digest::of(format!("model of {version}").as_bytes()),
    }
}

/// Port of a registry that every test of this binary shares.
fn registry() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let status = match head.split_whitespace().nth(1) {
                    Some(path) if path.starts_with("/v2/gone/") => "404 Not Found",
                    Some(path) if path.starts_with("/v2/broken/") => "503 Service Unavailable",
                    Some(path)
                        if path.starts_with("/v2/private/")
                            && !head.contains("uthorization: Basic ") =>
                    {
                        "401 Unauthorized"
                    }
                    Some(path) if path.starts_with("/v2/") => "200 OK",
                    _ => "400 Bad Request",
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        port
    })
}

#[track_caller]
pub(crate) fn says(ended: &Ended, code: i32, words: &[&str]) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in:\n{said}");
    }
}

/// What Git knows of a clone that somebody works in.
pub(crate) fn work(scratch: &Scratch, file: &Path) -> [String; 5] {
    [
        scratch.git("clone", &["status", "--porcelain"]),
        scratch.git("clone", &["symbolic-ref", "HEAD"]),
        scratch.git("clone", &["rev-parse", "HEAD"]),
        scratch.git("clone", &["diff", "--cached"]),
        fs_err::read_to_string(file).unwrap(),
    ]
}
