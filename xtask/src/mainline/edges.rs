//! What a random history does not reach: two clones at once, a checkout in use, remotes that refuse.

use std::path::Path;
use std::sync::Barrier;

use fs_err as fs;
use gitops::admit::{ImageCheck, Signature};
use gitops::decide::Action;
use gitops::environment::Environment;
use gitops::event::{Event, Observation, Proof};
use gitops::guards::Guard;
use gitops::mainline::{Mainline, Outcome, handle, publish};
use gitops::object_id::CommitId;
use gitops::pin::Pin;
use gitops::plan::release;
use gitops::simulation::world::{beginning, first_files};
use gitops::snapshot::MarkKind;
use gitops::verdict::Verdict;
use tempfile::TempDir;

use super::sandbox::RealRepository;
use super::{GitMainline, receive};
use crate::tools::git;

fn present() -> ImageCheck {
    ImageCheck::Present(Signature::NotRequired)
}

/// A remote where one release is verified and a second one waits, and nobody's clone.
struct Remote {
    folder: TempDir,
    bad: CommitId,
    environment: Environment,
}

impl Remote {
    fn new() -> Self {
        let mut main = RealRepository::new(&first_files(), beginning());
        let environment = main.load().unwrap().environments().parse("staging").unwrap();
        let first = put(&mut main, &environment, "1.0.0");
        let deployed = Observation::Deployed(Proof::SmokePassed);
        report(&mut main, &environment, first, deployed).unwrap();
        let bad = put(&mut main, &environment, "2.0.0");
        Self { folder: main.into_folder(), bad, environment }
    }

    fn clone(&self, name: &str) -> GitMainline {
        let folder = self.folder.path();
        git::plumbing(folder).args(["clone", "--quiet", "remote", name]).bytes().unwrap();
        for (key, value) in [("user.name", name), ("user.email", "machine@example.org")] {
            git::plumbing(&folder.join(name)).args(["config", key, value]).bytes().unwrap();
        }
        GitMainline::open(&folder.join(name), "origin").unwrap()
    }

    fn fail(&self, main: &mut GitMainline) -> anyhow::Result<Outcome> {
        report(main, &self.environment, self.bad, Observation::Failed(Verdict::AppWrong))
    }

    fn json(&self) -> String {
        event(&self.environment, self.bad, Observation::Failed(Verdict::AppWrong)).to_json()
    }

    fn hook(&self, script: &str) {
        let hook = self.folder.path().join("remote/hooks/pre-receive");
        fs::write(&hook, script).unwrap();
        set_executable(&hook);
    }
}

#[cfg(unix)]
fn set_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn put(main: &mut RealRepository, environment: &Environment, version: &str) -> CommitId {
    let digest = contract::digest::Digest::of(version.as_bytes());
    let pin = Pin {
        image: format!("registry.example/api:{version}@{digest}").parse().unwrap(),
        app_version: version.parse().unwrap(),
        model_digest: digest,
    };
    let done = publish(main, &mut |_, _| present(), |now| release(&now.history(environment), &pin));
    done.unwrap().unwrap().commit.unwrap()
}

fn event(environment: &Environment, revision: CommitId, observation: Observation) -> Event {
    Event {
        environment: environment.clone(),
        revision: Some(revision),
        observed_at: beginning(),
        observation,
        evidence: vec!["it was seen".to_owned()],
    }
}

fn report<M: Mainline>(
    main: &mut M,
    environment: &Environment,
    revision: CommitId,
    observation: Observation,
) -> Result<Outcome, M::Error> {
    handle(main, &mut |_, _| present(), &event(environment, revision, observation))
}

fn hinted(error: &anyhow::Error, part: &str) {
    let text = format!("{error:#}");
    assert!(text.contains(part), "`{part}` is missing in: {text}");
}

#[test]
fn eight_handlers_in_eight_clones_make_one_rollback() {
    const HANDLERS: usize = 8;
    let remote = Remote::new();
    let clones: Vec<_> = (0..HANDLERS).map(|n| remote.clone(&format!("clone-{n}"))).collect();
    let (remote, start) = (&remote, &Barrier::new(HANDLERS));
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let handlers: Vec<_> = clones
            .into_iter()
            .map(|mut clone| {
                scope.spawn(move || {
                    start.wait();
                    remote.fail(&mut clone).unwrap()
                })
            })
            .collect();
        handlers.into_iter().map(|handler| handler.join().unwrap()).collect()
    });
    let restored = outcomes.iter().filter(|outcome| outcome.published.is_some()).count();
    let rest = outcomes.iter().filter(|outcome| outcome.published.is_none());
    for outcome in rest {
        assert_eq!(outcome.action.guard(), Some(Guard::Duplicate), "{}", outcome.action);
    }
    assert_eq!(restored, 1);
    let snapshot = remote.clone("last").load().unwrap();
    let rolled_back = snapshot.marks().iter().filter(|mark| mark.kind == MarkKind::RolledBack);
    assert_eq!(rolled_back.count(), 1);
}

#[test]
fn a_report_is_acted_on_once_and_what_is_none_is_refused() {
    let remote = Remote::new();
    let mut main = remote.clone("checkout");
    let json = remote.json();
    let mut receive = |json: &str| receive(&mut main, &mut |_, _| present(), json.as_bytes());
    for (wrong, part) in [
        ("", "EOF"),
        (&json.replace("staging", "nowhere"), "`nowhere` is no environment"),
        (&json.replace(&remote.bad.to_string(), "main"), "`main` is not a full commit id"),
    ] {
        let error = receive(wrong).unwrap_err();
        hinted(&error, part);
        hinted(&error, "xtask/gitops/fixtures");
    }
    assert!(matches!(receive(&json).unwrap().action, Action::Restore(_)));
    assert_eq!(receive(&json).unwrap().action.guard(), Some(Guard::Duplicate));
}

#[test]
fn a_checkout_in_use_is_left_as_it_is() {
    let remote = Remote::new();
    let mut main = remote.clone("checkout");
    let clone = remote.folder.path().join("checkout");
    fs::write(clone.join("kustomize/base/config.yaml"), "half done").unwrap();
    fs::write(clone.join("new"), "untracked").unwrap();
    git::plumbing(&clone).args(["add", "new"]).bytes().unwrap();
    git::plumbing(&clone).args(["tag", "verified/staging/mine"]).bytes().unwrap();
    fs::write(clone.join(".git/hooks/pre-push"), "#!/bin/sh\nexit 1\n").unwrap();
    set_executable(&clone.join(".git/hooks/pre-push"));
    let seen = || {
        let status = git::plumbing(&clone).args(["status", "--porcelain=v2", "--branch"]);
        let names = git::plumbing(&clone).args(["for-each-ref", "refs/heads", "refs/tags"]);
        (status.bytes().unwrap(), names.bytes().unwrap())
    };
    let before = seen();
    let outcome = remote.fail(&mut main).unwrap();
    assert!(matches!(outcome.action, Action::Restore(_)), "{}", outcome.action);
    // The remote-tracking branch moves when git pushes; nothing else does.
    let without_tracking = |(status, names): (Vec<u8>, Vec<u8>)| {
        let status = String::from_utf8(status).unwrap();
        let kept: Vec<_> = status.lines().filter(|line| !line.starts_with("# branch.ab")).collect();
        (kept.join("\n"), names)
    };
    assert_eq!(without_tracking(seen()), without_tracking(before));
    assert!(!clone.join("kustomize/holds.yaml").exists());
}

#[test]
fn a_refusal_that_is_no_race_is_an_error_and_nothing_is_half_done() {
    let remote = Remote::new();
    let mut main = remote.clone("checkout");
    remote.hook("#!/bin/sh\necho not on my watch >&2\nexit 1\n");
    let error = remote.fail(&mut main).unwrap_err();
    hinted(&error, "not on my watch");
    hinted(&error, "protected branches");
    let snapshot = main.load().unwrap();
    assert_eq!(snapshot.tip(), remote.bad);
    assert!(snapshot.marks().iter().all(|mark| mark.kind == MarkKind::Verified));
    remote.hook("#!/bin/sh\nexit 0\n");
    assert!(remote.fail(&mut main).unwrap().published.is_some());
}

#[test]
fn a_mark_that_is_taken_stops_the_whole_push() {
    let remote = Remote::new();
    let mut main = remote.clone("checkout");
    let name = MarkKind::RolledBack.reference(&remote.environment, remote.bad);
    let elsewhere = remote.folder.path().join("remote");
    // The name appears between the look and the push.
    let script = format!(
        "#!/bin/sh\ntest -e done && exit 0\ntouch done\nunset GIT_QUARANTINE_PATH\ngit update-ref {name} {}\n",
        remote.bad
    );
    remote.hook(&script);
    let outcome = remote.fail(&mut main).unwrap();
    assert_eq!(outcome.action.guard(), Some(Guard::Duplicate), "{}", outcome.action);
    assert!(elsewhere.join("done").exists(), "the hook never ran");
    assert_eq!(main.load().unwrap().tip(), remote.bad);
}

/// A fetch writes a commit before its files, and may be killed in between.
#[test]
fn a_commit_whose_files_never_came_is_fetched_again() {
    let remote = Remote::new();
    let folder = remote.folder.path();
    git::plumbing(folder).args(["init", "--quiet", "cut-short"]).bytes().unwrap();
    let cut_short = folder.join("cut-short");
    let commit =
        git::plumbing(&folder.join("remote")).args(["cat-file", "commit", "main"]).bytes().unwrap();
    let write = ["hash-object", "-t", "commit", "-w", "--stdin"];
    git::plumbing(&cut_short).args(write).input(commit).bytes().unwrap();
    let address = folder.join("remote").display().to_string();
    let mut main = GitMainline::open(&cut_short, &address).unwrap();
    assert_eq!(main.load().unwrap().tip(), remote.bad);
}

#[test]
fn a_clone_that_cannot_know_is_refused_with_what_to_do() {
    let remote = Remote::new();
    let folder = remote.folder.path();
    let from = format!("file://{}", folder.join("remote").display());
    let shallow = ["clone", "--quiet", "--depth", "1", from.as_str(), "shallow"];
    git::plumbing(folder).args(shallow).bytes().unwrap();
    let open = |name: &str| GitMainline::open(&folder.join(name), "origin").err().unwrap();
    hinted(&open("shallow"), "git fetch --unshallow");
    fs::create_dir(folder.join("empty")).unwrap();
    let ceiling = git::plumbing(&folder.join("empty")).env("GIT_CEILING_DIRECTORIES", folder);
    assert!(ceiling.args(["rev-parse", "--git-dir"]).bytes().is_err());
    hinted(&open("empty"), "is no Git repository");

    let mut main = remote.clone("checkout");
    main.remote = "nowhere".to_owned();
    hinted(&main.load().unwrap_err(), "git ls-remote shows");
    git::plumbing(folder).args(["init", "--quiet", "--bare", "nothing"]).bytes().unwrap();
    main.remote = folder.join("nothing").to_str().unwrap().to_owned();
    hinted(&main.load().unwrap_err(), "has no branch main");
}
