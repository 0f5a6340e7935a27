//! [`World`]: production's overlay in a namespace of its own, applied as Argo CD applies it, with a model that
//! answers rightly; and the cluster as tests ask for it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2e::process::{Ended, command, run, xtask};
use e2e::{model, repo};
use gitops::image_reference::ImageReference;
use gitops::pin::Pin;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What one machine's cluster can carry is played one after the other.
static STAGE: Mutex<()> = Mutex::new(());
pub(crate) const SERVICE: &str = "app.kubernetes.io/component=service";
pub(crate) const DEPLOYMENT: &str = "deployment/mnist-deployment";
const OVERLAY: &str = "kustomize/overlays/production";
const NAMESPACE: &str = "namespace: mnist-production";

/// Where images may be pushed to, so that nodes can pull them.
pub(crate) fn repository() -> String {
    let named = std::env::var_os("E2E_CLUSTER_IMAGE");
    let named = named.expect("run by `cargo xtask test --cluster REPOSITORY`");
    named.into_string().expect("a name is text")
}

pub(crate) fn turn() -> MutexGuard<'static, ()> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn kubectl(args: &[&str]) -> Ended {
    run(command("kubectl", &repo::root()).args(args))
}

#[track_caller]
pub(crate) fn get(args: &[&str]) -> Value {
    let found = kubectl(&[&["get"], args, &["--output", "json"]].concat()).success();
    serde_json::from_str(&found.stdout).unwrap()
}

#[track_caller]
pub(crate) fn until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// `xtask`, built as an image from the newest commit.
pub(crate) fn tool() -> String {
    let repository = format!("{}-gitops", repository());
    let pushed = run(xtask(&repo::home()).args(["image", "gitops", "--push", &repository]));
    pushed.success().stdout.trim().to_owned()
}

/// The service with the tests' model.
pub(crate) fn service() -> Pin {
    let artifact = model::quick();
    let folder = artifact.path().display().to_string();
    let build = ["image", "build", "--model", &folder, "--push", &repository()];
    let pushed = run(xtask(&repo::home()).args(build));
    let image: ImageReference = pushed.success().stdout.trim().parse().unwrap();
    let (version, _model) = image.tag().rsplit_once('-').unwrap();
    Pin {
        app_version: version.parse().unwrap(),
        model_digest: artifact.manifest().model_digest,
        image,
    }
}

pub(crate) struct World {
    pub(crate) namespace: String,
    folder: TempDir,
    probes: String,
}

impl World {
    /// `name` tells this world from those of other tests.
    pub(crate) fn new(name: &str, pin: &Pin) -> Self {
        let folder = tempfile::tempdir().unwrap();
        repo::copy(&repo::root().join("kustomize"), &folder.path().join("kustomize"));
        let mut world = Self::bare(name);
        world.folder = folder;
        let release = world.path("release/kustomization.yaml");
        fs_err::write(release, pin.to_yaml()).unwrap();
        let overlay = world.path("kustomization.yaml");
        let text = fs_err::read_to_string(&overlay).unwrap();
        let mine = format!("namespace: {}", world.namespace);
        fs_err::write(overlay, text.replace(NAMESPACE, &mine)).unwrap();
        let manifests = world.manifests();
        let (_, generated) = manifests.split_once("name: smoke-probes-").unwrap();
        world.probes = format!("smoke-probes-{}", generated.split_once('\n').unwrap().0);
        world
    }

    /// A name for a namespace that is gone with this value.
    pub(crate) fn bare(name: &str) -> Self {
        Self {
            namespace: format!("e2e-{name}-{}", std::process::id()),
            folder: tempfile::tempdir().unwrap(),
            probes: "probes".to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(OVERLAY).join(name)
    }

    #[track_caller]
    pub(crate) fn manifests(&self) -> String {
        run(command("kustomize", &self.path("")).args(["build", "."])).success().stdout
    }

    /// Everything but the smoke test, which only Argo CD runs; until the rollout is done.
    #[track_caller]
    pub(crate) fn apply(&self) {
        self.apply_text(&self.manifests());
        self.kubectl(&["rollout", "status", DEPLOYMENT, "--timeout", "180s"]);
    }

    #[track_caller]
    pub(crate) fn apply_text(&self, manifests: &str) {
        let file = self.folder.path().join("applied.yaml");
        fs_err::write(&file, manifests).unwrap();
        let file = file.display().to_string();
        kubectl(&["apply", "--server-side", "--filename", &file]).success();
    }

    /// In the world's namespace.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.namespace], args].concat()).success().stdout
    }

    pub(crate) fn pods(&self, selector: &str) -> Vec<Value> {
        let pods = get(&["pods", "--namespace", &self.namespace, "--selector", selector]);
        pods["items"].as_array().unwrap().clone()
    }

    /// A pod of the tool's image, confined as the namespace demands, with these labels.
    pub(crate) fn pod(&self, name: &str, image: &str, labels: &Value, command: &[&str]) {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "namespace": self.namespace, "labels": labels },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "main", "image": image, "command": command,
                    "volumeMounts": [{ "name": "probes", "mountPath": "/probes" }],
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": { "drop": ["ALL"] },
                    },
                }],
                "volumes": [{ "name": "probes", "configMap": { "name": self.probes() } }],
            },
        });
        self.apply_text(&pod.to_string());
    }

    /// Name of the probes' `ConfigMap`.
    pub(crate) fn probes(&self) -> &str {
        &self.probes
    }

    /// How a pod ended, and what it said.
    #[track_caller]
    pub(crate) fn end_of(&self, pod: &str, seconds: u64) -> (i64, String) {
        let state = until(&format!("{pod} ends"), seconds, || {
            let pod = get(&["pod", pod, "--namespace", &self.namespace]);
            let state = pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
            state.is_object().then_some(state)
        });
        (state["exitCode"].as_i64().unwrap(), self.kubectl(&["logs", pod]))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        kubectl(&[
            "delete",
            "namespace",
            &self.namespace,
            "--ignore-not-found",
            "--timeout",
            "120s",
        ]);
    }
}
