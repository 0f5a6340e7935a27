//! A fork made one's own, and what `manifests check` says of `argocd/`.

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
const BESIDES: [&str; 6] = [
    "xtask/Cargo.toml",
    "Cargo.toml",
    "Dockerfile",
    ".dockerignore",
    "rust-toolchain.toml",
    "model/task.yaml",
];

fn copy(from: &Path, to: &Path) {
    let mut copy = command("cp", from);
    copy.args(["-R", "--parents", "argocd", "kustomize", ".github", "tests/golden"]);
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
        let mut lines: Vec<_> = run(command("grep", self.folder.path()).args(grep))
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
    let new = [
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
    fork.write(SIGNING, &signer(SHIPPED));
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

#[test]
fn what_would_silence_or_stop_the_loop_is_told() {
    const STAGING: &str = "argocd/apps/staging.yaml";
    const PROJECT: &str = "argocd/apps/project.yaml";
    const NOTIFICATIONS: &str = "argocd/install/argocd-notifications-cm.yaml";
    for (file, from, to, told) in [
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
        (
            STAGING,
            "overlays/staging",
            "overlays/production",
            "source.path must be kustomize/overlays/staging",
        ),
        (STAGING, "targetRevision: main", "targetRevision: HEAD", "targetRevision must be main"),
        (
            STAGING,
            "subscribe.release-failed.gitops",
            "subscribe.release-failed.chat",
            "nobody hears of it",
        ),
        (
            STAGING,
            "namespace: mnist-staging",
            "namespace: mnist-other",
            "destination.namespace must be mnist-staging",
        ),
        (
            PROJECT,
            "    - { group: batch, kind: Job }\n",
            "",
            "lacks {\"group\":\"batch\",\"kind\":\"Job\"}",
        ),
        (
            PROJECT,
            "kind: Job }",
            "kind: Job }\n    - { group: batch, kind: CronJob }",
            "CronJob\"}, which no overlay renders",
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
    ] {
        let fork = Fork::new();
        fork.edit(file, from, to);
        says(&fork.xtask(&["manifests", "check"]), 1, &["argocd: argocd/", told]);
    }
}

/// One with names that these tests know, whatever the checkout's are.
fn leaf() -> Fork {
    static LEAF: OnceLock<Fork> = OnceLock::new();
    let named = LEAF.get_or_init(|| {
        let fork = Fork::new();
        fork.init(ADDRESS, IMAGE, "leaf").success();
        fork
    });
    let fork = Fork { folder: tempfile::tempdir().unwrap() };
    repo::copy(named.folder.path(), fork.folder.path());
    fork
}

const RELEASE: &str = ".github/workflows/release.yml";

#[test]
fn what_only_has_the_name_of_a_fork_keeps_it() {
    let fork = leaf();
    let before = fork.text();
    for namespace in ["api", "default-deny", "argocd-cm", "argocd-notifications-cm"] {
        fork.init(ADDRESS, IMAGE, namespace).success();
        fork.init(ADDRESS, IMAGE, "leaf").success();
        assert_eq!(fork.text(), before, "{namespace}");
    }
    for namespace in ["leaf-staging", "shop-production", "leaf-root"] {
        says(&fork.init(ADDRESS, IMAGE, namespace), 1, &["--namespace: ", "name two things"]);
    }
    assert_eq!(fork.text(), before);
}

#[test]
fn an_image_and_a_signer_are_renamed_however_the_line_is_written() {
    let fork = leaf();
    fork.edit(RELEASE, &format!("IMAGE: {IMAGE}\n"), &format!("IMAGE: '{IMAGE}' # ours\r\n"));
    let signer = |address| format!("{address}/.github/workflows/release.yml@refs/heads/main");
    let demand = format!("mode: keyless\nissuer: https://i.org\nidentity: {}\n", signer(ADDRESS));
    fs_err::write(fork.path("kustomize/signing.yaml"), demand).unwrap();
    fork.init("https://github.com/acme/oak", "ghcr.io/acme/oak", "leaf").success();
    let after = fork.text();
    assert!(after.contains("IMAGE: 'ghcr.io/acme/oak' # ours"));
    assert!(after.contains(&signer("identity: https://github.com/acme/oak")));
    assert!(!after.contains("acme/leaf-doctor"));
}

#[test]
fn a_line_that_init_cannot_read_fails_it() {
    let fork = leaf();
    fork.edit(
        RELEASE,
        &format!("env:\n  IMAGE: {IMAGE}\n"),
        &format!("env: {{ IMAGE: {IMAGE} }}\n"),
    );
    let told = [&format!("release.yml: env.IMAGE is still `{IMAGE}`"), "hint: "];
    says(&fork.init(ADDRESS, "ghcr.io/acme/oak", "leaf"), 1, &told);
}

#[test]
fn an_address_written_otherwise_is_the_same() {
    let fork = leaf();
    let other = "https://www.GitHub.com:443/acme/leaf-doctor.git/";
    says(&fork.init(other, IMAGE, "leaf"), 0, &["nothing to do"]);
}

#[test]
fn what_a_killed_init_left_half_written_is_no_file() {
    let fork = leaf();
    for folder in ["argocd/apps", "argocd/install", "tests/golden"] {
        for entry in fs_err::read_dir(fork.path(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            // Above the largest process id that there is.
            let partial = format!("{folder}/.{name}.partial-4194999.0");
            fs_err::write(fork.path(&partial), "half: [").unwrap();
        }
    }
    fork.xtask(&["manifests", "check"]).success();
    fork.init(ADDRESS, IMAGE, "oak").success();
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_others_as_they_are() {
    let fork = leaf();
    fs_err::write(fork.path("argocd/install/extra.yaml"), b"\xff\n").unwrap();
    let before = fork.text();
    says(&fork.init(ADDRESS, IMAGE, "oak"), 1, &["argocd/install/extra.yaml"]);
    assert_eq!(fork.text(), before);
}

#[test]
fn an_init_that_ended_half_way_is_finished_by_the_same_and_by_no_other() {
    let (fork, other) = (leaf(), leaf());
    other.init(ADDRESS, IMAGE, "shop").success();
    let half = "argocd/apps/staging.yaml";
    fs_err::copy(other.path(half), fork.path(half)).unwrap();
    says(&fork.init(ADDRESS, IMAGE, "oak"), 1, &["argocd: ", "hint: ", "git restore argocd "]);

    let fork = leaf();
    fs_err::copy(other.path(half), fork.path(half)).unwrap();
    fork.init(ADDRESS, IMAGE, "shop").success();
    assert_eq!(fork.text(), other.text());
}

#[test]
fn of_two_at_once_each_finds_what_the_other_wrote() {
    let fork = leaf();
    std::thread::scope(|scope| {
        for namespace in ["oak", "elm", "fir"] {
            let fork = &fork;
            scope.spawn(move || fork.init(ADDRESS, IMAGE, namespace).success());
        }
    });
    fork.xtask(&["manifests", "check"]).success();
}

#[test]
fn what_would_lose_an_environment_or_its_reports_is_told() {
    const APPS: &str = "argocd/apps/kustomization.yaml";
    const STAGING: &str = "argocd/apps/staging.yaml";
    const PRODUCTION: &str = "argocd/apps/production.yaml";
    const PROJECT: &str = "argocd/apps/project.yaml";
    const ROOT: &str = "argocd/root.yaml";
    const NOTIFICATIONS: &str = "argocd/install/argocd-notifications-cm.yaml";
    const ARGOCD: &str = "argocd/install/argocd-cm.yaml";
    const LIMIT: &str = "argocd/install/argocd-cmd-params-cm.yaml";
    const ROLLBACK: &str = ".github/workflows/rollback.yml";
    const API: &str = "https://api.github.com/repos/acme/leaf-doctor/";
    let elsewhere = format!("url: https://example.org/?{API}");
    let here = format!("url: {API}");
    // Edits that do not hide one another share a fork. Nothing to replace is the whole file.
    let groups: &[&[(&str, &str, &str, &str)]] = &[
        &[
            (APPS, "  - production.yaml\n", "", "deploys to {\"namespace\":\"leaf-production\""),
            (STAGING, "name: leaf-staging", "name: staging", "metadata.name must be leaf-staging"),
            (STAGING, "namespace: argocd", "namespace: other", "metadata.namespace must be argocd"),
            (
                STAGING,
                "selfHeal: true }",
                "selfHeal: true, enabled: false }",
                "enabled must not be",
            ),
            (
                PROJECT,
                "  clusterRes",
                "  syncWindows: [{ kind: deny }]\n  clusterRes",
                "syncWindows must",
            ),
            (ROOT, "targetRevision: main", "targetRevision: next", "targetRevision must be main"),
            (ROOT, "path: argocd/apps", "path: argocd", "source.path must be \"argocd/apps\""),
            (ROOT, "project: leaf-root", "project: leaf", "project must be leaf-root"),
            (ROOT, "prune: false", "prune: true", "prune must be false"),
            (
                ROOT,
                "    - { group: argoproj.io, kind: AppProject }\n",
                "",
                "root.yaml: namespaceResource",
            ),
            (NOTIFICATIONS, "trigger.release-failed:", "trigger.x:", "trigger.release-failed must"),
            (
                NOTIFICATIONS,
                "send: [release-deployed]",
                "send: []",
                "trigger.release-deployed must",
            ),
            (
                NOTIFICATIONS,
                "template.release-failed:",
                "template.x:",
                "template.release-failed must",
            ),
            (NOTIFICATIONS, "/deployed.yml/", "/rollback.yml/", "POST to /deployed.yml/dispatches"),
            (NOTIFICATIONS, &here, &elsewhere, "reports go elsewhere"),
            (NOTIFICATIONS, "$gitops-token", "$other", "must be `Bearer $gitops-token`"),
            (ARGOCD, "timeout.reconciliation", "timeout", "timeout.reconciliation is not set"),
            (LIMIT, "\"900\"", "\"0\"", "controller.sync.timeout.seconds is not set"),
            (ROLLBACK, "      report:", "      other:", "workflows/rollback.yml is gone, or no"),
        ],
        &[
            (PROJECT, "  name: leaf", "  name: tree", "project.yaml: metadata.name must be leaf"),
            (NOTIFICATIONS, "", "", "no ConfigMap/argocd-notifications-cm"),
            (ARGOCD, "", "", "health.autoscaling_HorizontalPodAutoscaler is not set"),
        ],
        &[
            (NOTIFICATIONS, "service.webhook.gitops:", "service.webhook.x:", "gitops is missing"),
            (PRODUCTION, "", "", "deploys to {\"namespace\":\"leaf-production\""),
        ],
        &[(
            PRODUCTION,
            "  project: leaf\n",
            "  project: leaf\n  project: leaf\n",
            "cannot be rendered",
        )],
        &[(PRODUCTION, "spec:", "---\nspec:", "cannot be rendered")],
        &[(LIMIT, "data:", "data: {}\ndata:", "argocd-cmd-params-cm.yaml` is no YAML")],
    ];
    for group in groups {
        let fork = leaf();
        for (file, from, to, _) in *group {
            if from.is_empty() {
                fs_err::write(fork.path(file), to).unwrap();
            } else {
                fork.edit(file, from, to);
            }
        }
        let told: Vec<&str> = group.iter().map(|row| row.3).collect();
        says(&fork.xtask(&["manifests", "check"]), 1, &told);
    }
    for (gone, told) in [
        (PRODUCTION, "argocd: argocd/apps cannot be rendered"),
        (ROOT, "argocd: argocd/root.yaml is gone"),
        (ROLLBACK, "workflows/rollback.yml is gone"),
    ] {
        let fork = leaf();
        fs_err::remove_file(fork.path(gone)).unwrap();
        says(&fork.xtask(&["manifests", "check"]), 1, &[told]);
    }
}
