//! What `init` renames, what it leaves alone, and how it ends when it cannot.

use std::sync::OnceLock;

use e2e::repo;

use super::{ADDRESS, Fork, IMAGE};
use crate::scratch::says;

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
