//! A fork made one's own, and what `manifests check` says of `argocd/`.

#[path = "adoption/renaming.rs"]
mod renaming;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use contract::digest::Digest;
use e2e::process::{Ended, command, run};
use e2e::repo;
use gitops::pin::Pin;
use tempfile::TempDir;

use crate::scratch::{environment, says};

/// A copy of all that names the repository.
pub(crate) struct Fork {
    folder: TempDir,
}

/// What else these tests read.
const BESIDES: [&str; 9] = [
    "tests/golden",
    "xtask/Dockerfile",
    "xtask/mlops/Dockerfile",
    "xtask/Cargo.toml",
    "Cargo.toml",
    "Dockerfile",
    ".dockerignore",
    "rust-toolchain.toml",
    "model/task.yaml",
];

fn copy(from: &Path, to: &Path) {
    let mut copy = command("cp", from);
    copy.args(["-R", "--parents", "argocd", "kustomize", "monitoring", ".github"]);
    run(copy.args(BESIDES).arg(to)).success();
}

fn init(folder: &Path, repository: &str, image: &str, namespace: &str) -> Ended {
    let args = ["init", "--repository", repository, "--image", image, "--namespace", namespace];
    run(command(repo::xtask(), folder).args(args))
}

/// The checkout by the names that it came with, whatever it calls itself now.
fn shipped() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let checkout = repo::root();
        let root = fs_err::read_to_string(checkout.join("argocd/root.yaml")).unwrap();
        if root.contains(&format!("{SHIPPED}.git")) && root.contains("name: mnist-root") {
            return checkout;
        }
        let folder = checkout.join("target/shipped");
        drop(fs_err::remove_dir_all(&folder));
        fs_err::create_dir_all(&folder).unwrap();
        copy(&checkout, &folder);
        init(&folder, SHIPPED, SHIPPED_IMAGE, "mnist").success();
        folder
    })
}

impl Fork {
    pub(crate) fn new() -> Self {
        let fork = Self { folder: tempfile::tempdir().unwrap() };
        copy(shipped(), fork.folder.path());
        fork
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn xtask(&self, args: &[&str]) -> Ended {
        run(command(repo::xtask(), self.folder.path()).args(args))
    }

    fn init(&self, repository: &str, image: &str, namespace: &str) -> Ended {
        init(self.folder.path(), repository, image, namespace)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs_err::write(self.path(file), text).unwrap();
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}");
        fs_err::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }

    /// Every file with its content, as one text.
    fn text(&self) -> String {
        let grep = ["--recursive", "--no-messages", "", "argocd", ".github", "kustomize", "tests"];
        let mut lines: Vec<_> =
            run(command("grep", self.folder.path()).args(grep).arg("monitoring"))
                .stdout
                .lines()
                .map(str::to_owned)
                .collect();
        lines.sort();
        lines.join("\n")
    }
}

const SHIPPED: &str = "https://github.com/OWNER/mnist-api";
const SHIPPED_IMAGE: &str = "ghcr.io/owner/mnist-api";
const ADDRESS: &str = "https://github.com/acme/leaf-doctor";
const IMAGE: &str = "ghcr.io/acme/leaf-doctor";
const OWNERS: &str = ".github/CODEOWNERS";

#[test]
fn a_fork_is_named_once_and_every_file_says_so() {
    let fork = Fork::new();
    let before = fork.text();
    let old = ["OWNER/mnist-api", "repos/OWNER/", "owner/mnist-api", "mnist-staging", "mnist-root"];
    assert!(old.iter().all(|name| before.contains(name)), "what is looked for was never there");
    says(&fork.init(ADDRESS, IMAGE, "leaf"), 0, &["argocd/root.yaml", "staging: unreleased"]);
    let after = fork.text();
    for name in old {
        assert!(!after.contains(name), "{name} is left");
    }
    let old = ["project=\"mnist\"", "project=\\\"mnist\\\""];
    assert!(old.iter().all(|selector| before.contains(selector) && !after.contains(selector)));
    let new = [
        "monitoring/operator/prometheus-rule.yaml:        runbook_url: https://github.com/acme/leaf-doctor/blob/main/",
        "https://api.github.com/repos/acme/leaf-doctor/actions",
        "IMAGE: ghcr.io/acme/leaf-doctor",
    ];
    for name in new.iter().chain(&["leaf-staging", "leaf-production", "project: leaf"]) {
        assert!(after.contains(name), "{name}");
    }
    // Said again it changes nothing, and back it is what it was.
    says(&fork.init(&format!("{ADDRESS}.git"), IMAGE, "leaf"), 0, &["nothing to do"]);
    assert_eq!(fork.text(), after);
    says(&fork.init(SHIPPED, SHIPPED_IMAGE, "mnist"), 0, &["argocd/root.yaml"]);
    assert_eq!(fork.text(), before);
}

#[test]
#[ignore = "slow: runs them all once more"]
fn a_fork_may_run_these_tests_as_well() {
    // This one, run by itself.
    if std::env::var_os(repo::CHECKOUT).is_some() {
        return;
    }
    let fork = Fork::new();
    fork.init(ADDRESS, IMAGE, "leaf").success();
    fork.write(OWNERS, "* @acme/others\n");
    let mut tests = command(std::env::current_exe().unwrap(), fork.folder.path());
    let tests = tests.args(["adoption::", "doctor::", "manifests::"]);
    run(tests.env(repo::CHECKOUT, fork.folder.path())).success();
}

#[test]
fn what_is_left_to_do_by_hand_is_told() {
    const SIGNING: &str = "kustomize/signing.yaml";
    let fork = Fork::new();
    let signer = |repository: &str| {
        let issuer = "https://token.actions.githubusercontent.com";
        let workflow = format!("{repository}/.github/workflows/release.yml@refs/heads/main");
        format!("mode: keyless\nissuer: {issuer}\nidentity: {workflow}\n")
    };
    fork.write(OWNERS, "* @OWNER\n");
    fork.write(SIGNING, &signer("https://github.com/somebody/else"));
    let told = fork.init(ADDRESS, IMAGE, "leaf");
    says(&told, 0, &["by hand: .github/CODEOWNERS", "@OWNER", "by hand: kustomize/signing.yaml"]);
    fork.write(OWNERS, "# For @OWNER\n* @acme/leaves\n");
    fork.write(SIGNING, &signer(ADDRESS));
    let told = fork.init(ADDRESS, IMAGE, "leaf").success();
    assert!(!told.stderr.contains("by hand"), "{}", told.stderr);
}

#[test]
fn images_are_pushed_where_the_workflow_may() {
    const RELEASE: &str = ".github/workflows/release.yml";
    let fork = Fork::new();
    fork.init(ADDRESS, IMAGE, "leaf").success();
    fork.edit(RELEASE, IMAGE, SHIPPED_IMAGE);
    let told = [RELEASE, "IMAGE must be below ghcr.io/acme/"];
    says(&fork.xtask(&["manifests", "check"]), 1, &told);
    // Any other registry is its owner's affair.
    fork.edit(RELEASE, SHIPPED_IMAGE, "registry.example.org/leaf-doctor");
    says(&fork.xtask(&["manifests", "check"]), 0, &["staging: unreleased"]);
    // What was pinned under an earlier name runs on.
    let before = Pin {
        image: format!("{SHIPPED_IMAGE}:1.4.0@{}", Digest::of(b"image")).parse().unwrap(),
        app_version: "1.4.0".parse().unwrap(),
        model_digest: Digest::of(b"model"),
    };
    fork.write(&environment("staging").pin_file(), &before.to_yaml());
    let told =
        ["staging: pins ghcr.io/owner/mnist-api", "pushes to registry.example.org/leaf-doct"];
    says(&fork.xtask(&["manifests", "check"]), 0, &told);
}

#[test]
fn a_file_that_was_missed_is_found() {
    for file in [
        "argocd/root.yaml",
        "argocd/apps/staging.yaml",
        "argocd/apps/project.yaml",
        "argocd/regions.yaml",
        "argocd/monitoring.yaml",
    ] {
        let fork = Fork::new();
        fork.init(ADDRESS, IMAGE, "leaf").success();
        fork.edit(file, "acme/leaf-doctor.git", "acme/another.git");
        says(&fork.xtask(&["manifests", "check"]), 1, &["argocd: argocd/", ".git"]);
    }
}

#[test]
fn names_that_cannot_be_are_refused_together_and_change_nothing() {
    let fork = Fork::new();
    let before = fork.text();
    let ended = fork.init("git@github.com:acme/leaf.git", "Acme/Leaf:1", "Leaf_");
    says(&ended, 1, &["--repository: ", "--image: ", "--namespace: ", "hint: "]);
    assert_eq!(fork.text(), before);
}

const STAGING: &str = "argocd/apps/staging.yaml";
const PROJECT: &str = "argocd/apps/project.yaml";
const REGIONS: &str = "argocd/regions.yaml";
const MONITORING: &str = "argocd/monitoring.yaml";
const RULES: &str = "monitoring/operator/prometheus-rule.yaml";
const NOTIFICATIONS: &str = "argocd/install/argocd-notifications-cm.yaml";

/// Each is a file, what is replaced in it by what, and what is told of that. Those that neither hide one another nor are
/// told in the same words share a fork.
#[track_caller]
fn are_told(edits: &[(&str, &str, &str, &str)]) {
    let fork = Fork::new();
    for (file, from, to, _) in edits {
        fork.edit(file, from, to);
    }
    let told = edits.iter().map(|edit| edit.3);
    let told: Vec<&str> = std::iter::once("argocd: argocd/").chain(told).collect();
    says(&fork.xtask(&["manifests", "check"]), 1, &told);
}

#[test]
fn what_would_silence_or_stop_the_loop_is_told() {
    are_told(&[
        (STAGING, "retry: { limit: 0 }", "retry: { limit: 2 }", "syncPolicy.retry.limit must be 0"),
        (
            STAGING,
            "selfHeal: true",
            "selfHeal: false",
            "syncPolicy.automated.selfHeal must be true",
        ),
        (STAGING, "prune: true", "prune: false", "syncPolicy.automated.prune must be true"),
        (STAGING, "ServerSideApply=true", "ApplyOutOfSyncOnly=true", "pods of the version before"),
        (STAGING, "env: staging", "env: stage", "must name an environment, and is `stage`"),
        (STAGING, "targetRevision: main", "targetRevision: HEAD", "targetRevision must be main"),
        (
            STAGING,
            "subscribe.release-failed.gitops",
            "subscribe.release-failed.chat",
            "nobody hears of it",
        ),
        (
            PROJECT,
            "    - { group: batch, kind: Job }\n",
            "",
            "lacks {\"group\":\"batch\",\"kind\":\"Job\"}",
        ),
        (
            PROJECT,
            "namespace: mnist-production",
            "namespace: mnist-other",
            "does not let it deploy",
        ),
        (
            PROJECT,
            "  sourceRepos:",
            "  signatureKeys: [{ keyID: D56C4FCA57A46444 }]\n  sourceRepos:",
            "signatureKeys: the bot signs no commit",
        ),
        (
            "argocd/root.yaml",
            "  sourceRepos:",
            "  sourceIntegrity: { git: { policies: [] } }\n  sourceRepos:",
            "sourceIntegrity: the bot signs no commit",
        ),
        (
            NOTIFICATIONS,
            "      send: [release-deployed]",
            "      oncePer: app.metadata.name\n      send: [release-deployed]",
            "lost for good",
        ),
        (NOTIFICATIONS, "repos/OWNER/", "repos/acme/", "reports go elsewhere"),
        (REGIONS, "OnDeletion: true", "OnDeletion: false", "takes its pods along"),
        (MONITORING, "part-of: mnist }", "part-of: mnist, env: staging }", "taken for a release's"),
        (
            MONITORING,
            "monitoring/operator",
            "monitoring/rules",
            "monitoring/rules cannot be rendered",
        ),
    ]);
}

#[test]
fn what_would_lead_the_loop_elsewhere_is_told() {
    are_told(&[
        (
            STAGING,
            "overlays/staging",
            "overlays/production",
            "source.path must be kustomize/overlays/staging",
        ),
        (
            STAGING,
            "namespace: mnist-staging",
            "namespace: mnist-other",
            "destination.namespace must be mnist-staging",
        ),
        (
            PROJECT,
            "kind: Job }",
            "kind: Job }\n    - { group: batch, kind: CronJob }",
            "CronJob\"}, which no overlay renders",
        ),
        (REGIONS, "retry: { limit: 0 }", "retry: { limit: 2 }", "syncPolicy.retry.limit must be 0"),
        (REGIONS, "release-failed.gitops", "release-failed.chat", "nobody hears of it"),
        (REGIONS, "env: production", "env: stage", "must name an environment, and is `stage`"),
        (MONITORING, "kind: ServiceMonitor", "kind: PodMonitor", "does not allow {"),
        (RULES, "OWNER/mnist-api/blob", "acme/mnist-api/blob", "runbook_url leads elsewhere"),
        (RULES, "project=\"mnist\"", "project=\"leaf\"", "it must ask for project=\"mnist\""),
    ]);
    are_told(&[(
        REGIONS,
        "overlays/production",
        "overlays/staging",
        "source.path must be kustomize",
    )]);
}
