//! Rendered by real kustomize, checked against real schemas, and each rule of ours broken once.

use std::path::{Path, PathBuf};

use contract::digest::Digest;
use e2e::process::{Ended, command, run};
use e2e::repo;
use gitops::pin::Pin;
use tempfile::TempDir;

use crate::scratch::{Scratch, says};

const ENVIRONMENTS: [&str; 3] = ["local", "production", "staging"];

/// A copy of `kustomize/` that has never released, for edits.
struct Tree {
    folder: TempDir,
}

impl Tree {
    fn new(environments: &[&str]) -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        // What xtask knows a checkout by.
        tree.write("xtask/Cargo.toml", "");
        repo::copy(&repo::root().join("kustomize/base"), &tree.path("kustomize/base"));
        for environment in environments {
            let overlay = format!("kustomize/overlays/{environment}");
            repo::copy(&repo::root().join(&overlay), &tree.path(&overlay));
            tree.pin(environment, &Pin::unreleased_yaml());
        }
        tree
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn pin(&self, environment: &str, pin: &str) {
        self.write(&format!("kustomize/overlays/{environment}/release/kustomization.yaml"), pin);
    }

    #[track_caller]
    fn edit(&self, relative: &str, from: &str, to: &str) {
        let path = self.path(relative);
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in {relative}");
        fs_err::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn manifests(&self, args: &[&str]) -> Ended {
        run(command(repo::xtask(), self.folder.path()).arg("manifests").args(args))
    }
}

fn released() -> Pin {
    Pin {
        image: format!("ghcr.io/o/mnist-api:1.4.0@{}", Digest::of(b"image")).parse().unwrap(),
        app_version: "1.4.0".parse().unwrap(),
        model_digest: Digest::of(b"model"),
    }
}

#[test]
fn what_is_committed_may_be_released() {
    let check = command(repo::xtask(), &repo::root()).args(["manifests", "check"]).output();
    let check = check.unwrap();
    let (told, found) =
        (String::from_utf8(check.stdout).unwrap(), String::from_utf8(check.stderr).unwrap());
    assert!(check.status.success(), "{found}");
    for environment in ENVIRONMENTS {
        assert!(told.contains(&format!("{environment}: ")), "{told}");
    }
}

/// Pictures are reviewed where they are; their digest is in every name of their `ConfigMap`.
fn without_pictures(manifests: &str) -> String {
    let documents = manifests.split("---\n").map(|document| {
        if !document.contains("\nkind: ConfigMap") || !document.contains(PROBES_NAME) {
            return document.to_owned();
        }
        let (_, rest) = document.split_once("kind: ConfigMap").unwrap();
        format!("apiVersion: v1\ndata: …\nkind: ConfigMap{rest}")
    });
    let text = documents.collect::<Vec<_>>().join("---\n");
    let (_, rest) = text.split_once(PROBES_NAME).unwrap();
    let digest: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    text.replace(&format!("{PROBES_NAME}{digest}"), &format!("{PROBES_NAME}…"))
}

const PROBES_NAME: &str = "  name: smoke-probes-";

#[test]
#[expect(clippy::disallowed_methods, reason = "how the developer asks for new expectations")]
fn every_environment_renders_what_was_reviewed() {
    let tree = Tree::new(&ENVIRONMENTS);
    for environment in ENVIRONMENTS {
        let rendered = tree.manifests(&["render", environment]).success().stdout;
        let rendered = without_pictures(&rendered);
        let golden = repo::root().join(format!("tests/golden/{environment}.yaml"));
        if std::env::var("UPDATE_EXPECT").is_ok() {
            fs_err::write(&golden, &rendered).unwrap();
        }
        let reviewed = fs_err::read_to_string(&golden).unwrap_or_default();
        let difference = rendered.lines().zip(reviewed.lines()).find(|(now, then)| now != then);
        assert!(
            rendered == reviewed,
            "{environment}: {difference:?}; look at it, then run the test with UPDATE_EXPECT=1"
        );
    }
}

#[test]
fn a_release_changes_the_image_of_service_and_smoke_test_and_what_the_test_expects() {
    let tree = Tree::new(&["staging"]);
    let render = || tree.manifests(&["render", "staging"]).success().stdout;
    let before = render();
    tree.pin("staging", &released().to_yaml());
    let after = render();
    assert_eq!(before.lines().count(), after.lines().count());
    let changed: Vec<&str> = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after)
        .map(|(_, after)| after.trim().split(": ").next().unwrap())
        .collect();
    assert_eq!(
        changed,
        ["APP_VERSION", "MODEL_DIGEST", "MODEL_VERSION", "name", "image", "name", "name", "image"]
    );
    assert_eq!(after.matches(&format!("image: {}\n", released().image)).count(), 2);
    let told = tree.manifests(&["check"]).success().stdout;
    assert!(told.starts_with("staging: 1.4.0 (model "), "{told}");
}

#[test]
fn each_rule_refuses_what_it_is_for() {
    const DEPLOYMENT: &str = "kustomize/base/deployment.yaml";
    const JOB: &str = "kustomize/base/smoke/job.yaml";
    const BASE: &str = "kustomize/base/kustomization.yaml";
    const POLICIES: &str = "kustomize/base/network-policies.yaml";
    const SMOKE_POLICY: &str = "kustomize/base/smoke/network-policy.yaml";
    const PROBES: &str = "kustomize/base/smoke/probes.json";
    const AUTOSCALER: &str = "kustomize/base/autoscaler.yaml";
    const NAMESPACE: &str = "kustomize/base/namespace.yaml";
    const OVERLAY: &str = "kustomize/overlays/staging/kustomization.yaml";
    const PIN: &str = "kustomize/overlays/staging/release/kustomization.yaml";
    const STARTUP_HTTP: &str = "startupProbe:\n            httpGet: { path: /readyz, port: http }";
    const STARTUP_TCP: &str = "startupProbe:\n            tcpSocket: { port: http }";
    const VERSION_OF_ITS_OWN: &str = "env:\n            - { name: APP_VERSION, value: x }\n";
    const DENY: &str = "podSelector: {}\n  policyTypes: [Ingress, Egress]";
    const DNS_TCP: &str = "        - { protocol: TCP, port: 53 }\n";
    const LABEL_TEMPLATES: &str = "app.kubernetes.io/part-of: mnist }\n    includeSelectors: false";
    const LABEL_SELECTORS: &str = "app.kubernetes.io/version: x }\n    includeSelectors: true";
    let overlay = fs_err::read_to_string(repo::root().join(OVERLAY)).unwrap();
    let namespace = overlay.lines().find(|line| line.starts_with("namespace: ")).unwrap();
    // Edits that do not hide one another share a tree.
    let groups: &[&[(&str, &str, &str, &str)]] = &[
        &[
            (DEPLOYMENT, "minReadySeconds: 5", "minReadySecond: 5", "'minReadySecond' not allowed"),
            (DEPLOYMENT, "requests: { cpu: 200m, ", "requests: { ", "api: no requests.cpu"),
            (DEPLOYMENT, "seccompProfile", "seLinuxOptions: {}\n        #", "seccompProfile.type"),
            (DEPLOYMENT, "Filesystem: true", "Filesystem: false", "readOnlyRootFilesystem must be"),
            (DEPLOYMENT, "Token: false", "Token: true", "automountServiceAccountToken must be"),
            (DEPLOYMENT, STARTUP_HTTP, STARTUP_TCP, "no startupProbe"),
            (DEPLOYMENT, "Seconds: 35", "Seconds: 30", "must be at least 35"),
            (DEPLOYMENT, "env:\n", VERSION_OF_ITS_OWN, "compare the pin with itself"),
            (JOB, "limits: { cpu: 500m, memory: 256Mi }", "limits: { cpu: 500m }", "limits.memory"),
            (JOB, "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot must be true"),
            (JOB, "drop: [ALL]", "drop: [NET_RAW]", "capabilities.drop must be"),
            (JOB, "BeforeHookCreation\n", "HookSucceeded\n", "hook-delete-policy must be"),
            (JOB, "values: [42, 43]", "values: [42]", "values must be [42,43]"),
            (JOB, "action: Ignore", "action: Count", "rules.1.action must be \"Ignore\""),
            (JOB, "restartPolicy: Never", "restartPolicy: OnFailure", "restartPolicy must be"),
            (JOB, "backoffLimit: 2", "ttlSecondsAfterFinished: 5", "ttlSecondsAfterFinished must"),
            (JOB, "activeDeadlineSeconds: 240", "", "without activeDeadlineSeconds"),
            (JOB, "- smoke\n", "- serve\n", "first argument must be `smoke`"),
            (JOB, "- $(APP_VERSION)", "- 1.0.0", "--expect-app-version must be $(APP_VERSION)"),
            (JOB, "key: MODEL_DIGEST", "key: MODEL", "--expect-model-digest must be $(MODEL_DIG"),
            (JOB, "- /probes/probes.json", "- /probes/probe.json", "names no file of a mounted"),
            (JOB, "image: mnist-api", "image: other", "tests with another image"),
            (POLICIES, DENY, "podSelector: {}", "denies everything by default"),
            (POLICIES, "port: 8000", "port: 80", "opens its port to anyone"),
            (SMOKE_POLICY, "port: 8000", "port: 80", "opens the way to the service (TCP 8000)"),
            (SMOKE_POLICY, DNS_TCP, "", "opens the way to name resolution (TCP 53)"),
            (NAMESPACE, "enforce: restricted", "enforce: baseline", "is not `restricted`"),
            (PIN, "  newTag: unreleased\n", "", "edited by hand"),
        ],
        &[
            (DEPLOYMENT, "\n  minReadySeconds", "\n  replicas: 2\n  minReadySeconds", "`replicas`"),
            (DEPLOYMENT, "maxSurge: 1", "maxSurge: [1]", "Deployment/mnist-deployment: '/spec/"),
            (DEPLOYMENT, "path: /livez", "path: /readyz", "liveness asks for readiness"),
            (DEPLOYMENT, "value: 20s", "value: 2m", "must all be said, in seconds"),
            (AUTOSCALER, "autoscaling/v2", "autoscaling/v9", "schema for HorizontalPodAutoscaler"),
            (JOB, "http://mnist-service", "http://mnist", "leads to no Service"),
            (JOB, "{ name: smoke-probes }", "{ name: probes }", "no ConfigMap/probes"),
            (PIN, "- name: mnist-api", "- name: mnist", "`mnist-api` is not an image reference"),
        ],
        &[
            (JOB, "hook: PostSync", "hook: Sync", "exactly one Job"),
            (AUTOSCALER, "name: mnist-deployment", "name: x", "scales Deployment/x, which is not"),
            (BASE, LABEL_TEMPLATES, LABEL_SELECTORS, "selects by `app.kubernetes.io/version`"),
            (OVERLAY, namespace, "", "outside of namespace mnist"),
        ],
        &[
            (SMOKE_POLICY, "component: smoke", "component: other", "opens the way to the service"),
            (PROBES, "\"threshold\"", "\"treshold\"", "not a probe file"),
        ],
        &[
            (SMOKE_POLICY, "component: service", "component: x", "opens the way to the service"),
            (SMOKE_POLICY, "kube-system", "kube-public", "name resolution (UDP 53)"),
        ],
        &[(BASE, "- service.yaml", "- servce.yaml", "staging cannot be rendered: ")],
    ];
    for group in groups {
        let tree = Tree::new(&["staging"]);
        for (file, from, to, _) in *group {
            tree.edit(file, from, to);
        }
        let ended = tree.manifests(&["check"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("must not be released\n  staging: "), "{}", ended.stderr);
        for (file, _, to, told) in *group {
            let found = ended.stderr.contains(told);
            assert!(found, "{file}: `{to}`: `{told}` missing in:\n{}", ended.stderr);
        }
    }
}

#[test]
fn what_would_stop_or_endanger_a_release_is_refused() {
    const DEPLOYMENT: &str = "kustomize/base/deployment.yaml";
    const JOB: &str = "kustomize/base/smoke/job.yaml";
    const POLICIES: &str = "kustomize/base/network-policies.yaml";
    const AUTOSCALER: &str = "kustomize/base/autoscaler.yaml";
    const BUDGET: &str = "kustomize/base/disruption-budget.yaml";
    const NAMESPACE: &str = "kustomize/base/namespace.yaml";
    const BASE: &str = "kustomize/base/kustomization.yaml";
    const READY: &str = "readinessProbe:\n            httpGet: { path: /readyz, port: ";
    const LIMIT: &str = "            - { name: DRAIN_LIMIT, value: 20s }\n";
    const NODE: &str = "hostNetwork: true\n      volumes: [{ name: node, hostPath: { path: / } }]\n      enableServiceLinks";
    const PORTS: &str = "    - ports:\n        - { protocol: TCP, port: 8000 }";
    let groups: &[&[(&str, &str, &str, &str)]] = &[
        &[
            (JOB, "backoffLimit: 2", "suspend: true", "suspended it never ends"),
            (JOB, "Seconds: 240", "Seconds: 60", "must be more than --deadline"),
            (JOB, "spec:\n", "spec:\n  parallelism: 0\n", "parallelism must be 1"),
            (
                JOB,
                "- --probes",
                "- --verbose\n            - --probes",
                "`--verbose` is no argument",
            ),
            (JOB, "Name: smoke", "Name: other", "containerName is not its container"),
            (
                DEPLOYMENT,
                "minReadySeconds: 5",
                "paused: true",
                "paused it never takes in a release",
            ),
            (DEPLOYMENT, "Unavailable: 0", "Unavailable: 100%", "may take every pod at once"),
            (DEPLOYMENT, &format!("{READY}http"), &format!("{READY}htp"), "asks at \"htp\""),
            (DEPLOYMENT, "{ cpu: 200m", "{ cpu: 2001m", "requests.cpu is more than limits.cpu"),
            (DEPLOYMENT, "runAsUser: 65532", "runAsUser: 0", "runAsUser must not be 0"),
            (DEPLOYMENT, "[ALL] }", "[ALL], add: [SYS_ADMIN] }", "capabilities.add must be empty"),
            (
                DEPLOYMENT,
                "readOnlyRoot",
                "privileged: true\n            readOnlyRoot",
                "privileged le",
            ),
            (DEPLOYMENT, "enableServiceLinks", NODE, "a folder of the node"),
            (DEPLOYMENT, "", "", "hostNetwork leads out of the pod"),
            (
                DEPLOYMENT,
                "PAUSE, value: 5s",
                "PAUSE, value: 18446744073709551615s",
                "at least 184467",
            ),
            (DEPLOYMENT, LIMIT, &LIMIT.repeat(2), "\"DRAIN_LIMIT\" is there twice"),
            (BUDGET, "maxUnavailable: 1", "maxUnavailable: 0", "no node can ever be drained"),
            (
                AUTOSCALER,
                "maxReplicas: 5",
                "maxReplicas: 1",
                "minReplicas is more than maxReplicas",
            ),
            (POLICIES, PORTS, "    - {}", "a rule without ports and peers opens all"),
            (NAMESPACE, "Prune=false,", "", "without Prune=false"),
        ],
        &[
            (BASE, "  - autoscaler.yaml\n", "", "neither `replicas` nor an autoscaler"),
            (BUDGET, "maxUnavailable: 1", "minAvailable: 100%", "no node can ever be drained"),
        ],
    ];
    for group in groups {
        let tree = Tree::new(&["staging"]);
        for (file, from, to, _) in *group {
            tree.edit(file, from, to);
        }
        let told: Vec<&str> = group.iter().map(|row| row.3).collect();
        says(&tree.manifests(&["check"]), 1, &told);
    }
}

#[test]
fn all_mistakes_are_told_together() {
    let tree = Tree::new(&["production", "staging"]);
    tree.edit("kustomize/base/deployment.yaml", "minReadySeconds: 5", "replicas: 2");
    tree.edit("kustomize/base/smoke/job.yaml", "drop: [ALL]", "drop: []");
    tree.edit("kustomize/overlays/staging/kustomization.yaml", "- ../../base", "- ../../bas");
    let told = tree.manifests(&["check"]).stderr;
    for mistake in [
        "production: Deployment/mnist-deployment: `replicas`",
        "production: Job/mnist-smoke, container smoke: capabilities.drop",
        "staging: kustomize/overlays/staging cannot be rendered",
    ] {
        assert!(told.contains(mistake), "`{mistake}` missing in:\n{told}");
    }
}

#[test]
fn a_demand_for_signatures_that_cannot_be_read_is_told_before_it_stops_a_promotion() {
    const SIGNING: &str = "kustomize/signing.yaml";
    let (tree, scratch) = (Tree::new(&["staging"]), Scratch::new());
    says(&scratch.xtask(&["audit"]), 0, &["0 findings"]);
    for broken in ["", "mode: off\n", "mode: key\n", "mode: none\nmode: none\n"] {
        tree.write(SIGNING, broken);
        says(&tree.manifests(&["check"]), 1, &["signing: kustomize/signing.yaml cannot be read: "]);
        scratch.commit("edit the demand", SIGNING, broken);
        let told = "finding: kustomize/signing.yaml: cannot be read, so no image may be pinned: ";
        says(&scratch.xtask(&["audit"]), 5, &[told]);
    }
    tree.write(SIGNING, "mode: none\n");
    tree.manifests(&["check"]).success();
}

#[test]
fn an_environment_that_is_not_there_is_answered_with_those_that_are() {
    let tree = Tree::new(&["staging"]);
    let told = tree.manifests(&["render", "prod"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("`prod`") && told.stderr.contains("`staging`"), "{}", told.stderr);
}

/// A package is compiled empty first, and anew where its sources come.
#[track_caller]
fn is_built_from(dockerfile: &str, member: &str, package: &str) {
    let words = |begin: &str| dockerfile.split(begin).nth(1).unwrap().lines().next().unwrap();
    assert!(dockerfile.contains(&format!("\nCOPY {member}/Cargo.toml ")), "{member}");
    let folder = if member == "tests" { "tests/harness" } else { member };
    let empty = words("RUN for folder in ").split("; do").next().unwrap();
    assert!(empty.split(' ').any(|empty| empty == folder), "{member} is not in: {empty}");
    let mut copied = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let has_sources = copied.any(|line| {
        let from = line.split(' ').next().unwrap();
        from == format!("{member}/src") || Path::new(member).starts_with(from)
    });
    let is_cleaned = words(" && cargo clean ").split(' ').any(|word| word == package);
    assert!(is_cleaned || !has_sources, "{package} would stay the empty one");
}

#[test]
fn the_image_is_built_from_every_package_with_the_pinned_compiler() {
    let read = |path: &str| fs_err::read_to_string(repo::root().join(path)).unwrap();
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).unwrap();
    let minor = channel.rsplit_once('.').unwrap().0;
    assert!(dockerfile.contains(&format!("FROM rust:{minor}-slim-bookworm")), "{channel}");
    let manifest = read("Cargo.toml");
    let members = manifest.split("\nmembers = [").nth(1).unwrap().split(']').next().unwrap();
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        let package = read(&format!("{member}/Cargo.toml"));
        let package = package.split("\nname = \"").nth(1).unwrap().split('"').next().unwrap();
        for dockerfile in ["Dockerfile", "xtask/Dockerfile", "xtask/mlops/Dockerfile"] {
            is_built_from(&read(dockerfile), member, package);
        }
        let allowed = |line: &str| {
            line.strip_prefix('!').is_some_and(|path| {
                path == format!("{member}/Cargo.toml") || member.split('/').next() == Some(path)
            })
        };
        assert!(ignored.lines().any(allowed), "{member}");
    }
    // Builders that know nothing newer, and machines that can fetch no frontend.
    for newer in ["# syntax", "<<", "--link", "--mount", "--chmod"] {
        assert!(!dockerfile.contains(newer), "{newer}");
    }
}
