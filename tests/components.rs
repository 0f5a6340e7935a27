//! Components that an overlay may switch on: each is rendered into production, alone and together, and
//! keeps every rule that `manifests check` has for an environment.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "components/canary.rs"]
mod canary;
#[path = "components/shapes.rs"]
mod shapes;

use std::path::PathBuf;

use contract::digest::Digest;
use e2e::process::{command, run};
use e2e::repo;
use gitops::pin::Pin;
use serde::Deserialize;
use serde_json::{Value, json};
use shapes::{REFERENCES, SHAPES};
use tempfile::TempDir;

const COMPONENTS: &str = "kustomize/components";
const OVERLAY: &str = "kustomize/overlays/production/kustomization.yaml";
/// What one environment may want all of.
const TOGETHER: [&[&str]; 2] = [
    &["access", "ingress-tls", "external-secrets", "feedback", "spot", "traces", "monitoring"],
    &["canary", "monitoring"],
];

/// Production with components, in a tree of its own.
struct Overlay {
    folder: TempDir,
    pin: Pin,
}

impl Overlay {
    /// `list` is what stands below `components:`.
    fn of(list: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |relative: &str| folder.path().join(relative);
        for part in ["kustomize/base", "kustomize/overlays/production", COMPONENTS] {
            repo::copy(&repo::root().join(part), &path(part));
        }
        // What xtask knows a checkout by.
        fs_err::create_dir_all(path("xtask")).unwrap();
        fs_err::write(path("xtask/Cargo.toml"), "").unwrap();
        let pin = Pin {
            image: format!("ghcr.io/o/mnist-api:1.4.0@{}", Digest::of(b"image")).parse().unwrap(),
            app_version: "1.4.0".parse().unwrap(),
            model_digest: Digest::of(b"model"),
        };
        let release = path("kustomize/overlays/production/release/kustomization.yaml");
        fs_err::write(release, pin.to_yaml()).unwrap();
        let overlay = fs_err::read_to_string(path(OVERLAY)).unwrap();
        let mut overlay: Value = serde_yaml::from_str(&overlay).unwrap();
        overlay["components"] = json!(list);
        fs_err::write(path(OVERLAY), serde_yaml::to_string(&overlay).unwrap()).unwrap();
        Self { folder, pin }
    }

    fn with(components: &[String]) -> Self {
        let mut list = vec!["release"];
        let paths: Vec<String> = components.iter().map(|name| line(name)).collect();
        list.extend(paths.iter().map(String::as_str));
        Self::of(&list)
    }

    fn manifests(&self, args: &[&str]) -> String {
        let mut manifests = command(repo::xtask(), self.folder.path());
        run(manifests.arg("manifests").args(args)).success().stdout
    }

    fn objects(&self) -> Vec<Value> {
        let rendered = self.manifests(&["render", "production"]);
        serde_yaml::Deserializer::from_str(&rendered)
            .map(|document| Value::deserialize(document).unwrap())
            .collect()
    }

    fn add_to_overlay(&self, yaml: &str) {
        let path = self.folder.path().join(OVERLAY);
        let overlay = fs_err::read_to_string(&path).unwrap();
        fs_err::write(path, format!("{overlay}{yaml}")).unwrap();
    }
}

/// What a README tells to add to an overlay.
fn line(component: &str) -> String {
    format!("../../components/{component}")
}

fn components() -> Vec<String> {
    let folder = repo::root().join(COMPONENTS);
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.join("kustomization.yaml").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn of<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Pod specs however deep: those of operators' objects, which `manifests check` does not know, too.
fn pods<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            if fields.get("containers").is_some_and(Value::is_array) {
                found.push(value);
            }
            fields.values().for_each(|field| pods(field, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| pods(entry, found)),
        _ => {}
    }
}

#[test]
fn an_environment_with_a_component_keeps_every_rule_and_fits_the_schemas() {
    for component in components() {
        let told = Overlay::with(&[component]).manifests(&["check"]);
        assert!(told.starts_with("production: 1.4.0 (model "), "{told}");
    }
}

#[test]
fn a_component_means_the_same_wherever_an_overlay_lists_it() {
    for component in components() {
        let render = |list: &[&str]| {
            let mut objects = Overlay::of(list).objects();
            objects.sort_by_key(Value::to_string);
            objects
        };
        let (plain, after) = (render(&["release"]), render(&["release", &line(&component)]));
        assert!(plain != after, "{component} changes nothing");
        assert_eq!(render(&[&line(&component), "release"]), after, "{component}");
    }
}

#[test]
fn every_pod_of_a_component_is_confined_and_runs_the_released_image() {
    for component in components() {
        let overlay = Overlay::with(std::slice::from_ref(&component));
        let (objects, mut found) = (overlay.objects(), Vec::new());
        for object in &objects {
            pods(object, &mut found);
        }
        assert!(found.len() >= 2, "{component}: the service and its smoke test run pods");
        for pod in found {
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{component}: {pod}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{component}: {pod}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{component}: {pod}");
            for container in list(&pod["containers"]).iter().chain(list(&pod["initContainers"])) {
                let security = &container["securityContext"];
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{component}");
                assert_eq!(security["allowPrivilegeEscalation"], false, "{component}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{component}");
                assert_eq!(container["image"], overlay.pin.image.to_string(), "{component}");
            }
        }
    }
}

#[test]
fn components_that_one_environment_may_want_work_together() {
    for together in TOGETHER {
        let together: Vec<String> = together.iter().map(|name| (*name).to_owned()).collect();
        let overlay = Overlay::with(&together);
        overlay.manifests(&["check"]);
        let all = overlay.objects();
        for component in &together {
            has_its_shape(component, &all);
        }
    }
}

/// Without its CRDs, or while the operator's webhook is away, a sync that has one of them fails: a revert too.
#[test]
fn no_environment_needs_the_prometheus_operator() {
    for object in Overlay::with(&["monitoring".to_owned()]).objects() {
        let version = object["apiVersion"].as_str().unwrap();
        assert!(!version.starts_with("monitoring.coreos.com/"), "{object}");
    }
}

/// The loop takes no verdict away for what it calls no part of an environment.
#[test]
fn pages_are_rendered_nowhere() {
    for component in components() {
        let overlay = Overlay::with(std::slice::from_ref(&component));
        let before = overlay.manifests(&["render", "production"]);
        let kustomize = overlay.folder.path().join("kustomize");
        let mut find = command("find", &kustomize);
        let gone = run(find.args([".", "-name", "*.md", "-print", "-delete"])).success().stdout;
        assert!(gone.contains(&format!("components/{component}/README.md")), "{gone}");
        assert_eq!(overlay.manifests(&["render", "production"]), before, "{component}");
    }
}

#[test]
fn what_a_component_is_for_is_in_the_manifests() {
    let present = components();
    for (component, ..) in SHAPES {
        assert!(present.iter().any(|name| name == component), "{component} is gone");
    }
    for component in present {
        has_its_shape(&component, &Overlay::with(std::slice::from_ref(&component)).objects());
    }
}

/// What is at a place, or at each where it has a `*`; null where nothing is.
fn at(object: &Value, pointer: &str) -> Vec<Value> {
    let mut found = vec![object.clone()];
    for step in pointer.split('/').skip(1) {
        let next = |value: &Value| match step {
            "*" => value.as_array().cloned().unwrap_or_default(),
            step => value.pointer(&format!("/{step}")).cloned().into_iter().collect(),
        };
        found = found.iter().flat_map(next).collect();
    }
    if found.is_empty() { vec![Value::Null] } else { found }
}

fn has_its_shape(component: &str, objects: &[Value]) {
    for (_, kind, pointer, expected) in SHAPES.iter().filter(|shape| shape.0 == component) {
        let found: Vec<Value> =
            of(objects, kind).into_iter().flat_map(|object| at(object, pointer)).collect();
        let expected: Value = serde_yaml::from_str(expected).unwrap();
        assert!(found.contains(&expected), "{component}: {kind}{pointer} is {found:?}");
    }
}

#[test]
fn a_component_refers_only_to_what_is_rendered_with_it() {
    for (component, kind, pointer, target) in REFERENCES {
        let objects = Overlay::with(&[(*component).to_owned()]).objects();
        let sources = of(&objects, kind);
        let [source] = sources.as_slice() else { panic!("{component}: {} {kind}", sources.len()) };
        let name = source.pointer(pointer).unwrap_or(&Value::Null);
        let found = of(&objects, target).iter().any(|object| object["metadata"]["name"] == *name);
        assert!(found, "{component}: {kind}{pointer} names {name}, which is no {target}");
    }
}

#[test]
fn secrets_come_after_their_namespace_and_before_the_pods_that_mount_them() {
    let objects = Overlay::with(&["external-secrets".to_owned()]).objects();
    let wave = |kind: &str| -> i32 {
        let [object] = of(&objects, kind)[..] else { panic!("one {kind}") };
        let wave = &object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
        wave.as_str().map_or(0, |wave| wave.parse().unwrap())
    };
    let order = ["Namespace", "SecretStore", "ExternalSecret", "Deployment"].map(wave);
    assert!(order.is_sorted_by(|one, next| one < next), "{order:?}");
    let [secret] = of(&objects, "ExternalSecret")[..] else { panic!("one ExternalSecret") };
    let [deployment] = of(&objects, "Deployment")[..] else { panic!("one Deployment") };
    let volumes = list(&deployment["spec"]["template"]["spec"]["volumes"]);
    let mounted = volumes.iter().map(|volume| &volume["secret"]["secretName"]);
    assert!(mounted.eq([&secret["spec"]["target"]["name"]]), "{volumes:?}");
}

#[test]
fn a_component_adds_no_second_way_into_the_service() {
    for component in components() {
        let objects = Overlay::with(std::slice::from_ref(&component)).objects();
        let canary: Vec<&Value> = of(&objects, "Rollout")
            .iter()
            .map(|rollout| &rollout["spec"]["strategy"]["canary"]["canaryService"])
            .collect();
        let (aside, services): (Vec<_>, Vec<_>) = of(&objects, "Service")
            .into_iter()
            .partition(|service| canary.contains(&&service["metadata"]["name"]));
        assert_eq!(services.len(), 1, "{component}");
        assert!(aside.iter().all(|service| service["spec"]["type"] == "ClusterIP"), "{component}");
    }
}

#[test]
fn one_patch_of_an_overlay_names_its_host() {
    let readme = fs_err::read_to_string(folder("ingress-tls").join("README.md")).unwrap();
    let patch = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let overlay = Overlay::with(&["ingress-tls".to_owned()]);
    overlay.add_to_overlay(patch);
    let objects = overlay.objects();
    let [ingress] = of(&objects, "Ingress")[..] else { panic!("one Ingress") };
    for pointer in ["/spec/rules/0/host", "/spec/tls/0/hosts/0"] {
        assert_eq!(ingress.pointer(pointer).unwrap(), "api.my-company.com");
    }
}

fn folder(component: &str) -> PathBuf {
    repo::root().join(COMPONENTS).join(component)
}

#[test]
fn every_component_says_what_it_needs_in_a_page_that_names_it() {
    for component in components() {
        let readme = fs_err::read_to_string(folder(&component).join("README.md")).unwrap();
        assert!(readme.starts_with(&format!("# {component}: ")), "{component}");
        assert!(readme.contains(&format!("`- {}`", line(&component))), "{component}: its line");
        // What it tells to change is there to be changed: its own, or what it names by its path.
        let words = readme.split('`').skip(1).step_by(2);
        let is_file = |word: &&str| word.rsplit('.').next() == Some("yaml") && !word.contains(' ');
        for file in words.filter(is_file) {
            let own = folder(&component).join(file);
            assert!(own.is_file() || repo::root().join(file).is_file(), "{component}: {file}");
        }
        assert!(readme.lines().count() <= 25, "{component}");
    }
}

#[test]
fn every_component_is_in_the_index_and_the_index_names_no_other() {
    let index = fs_err::read_to_string(repo::root().join(COMPONENTS).join("README.md")).unwrap();
    let linked: Vec<&str> = index
        .lines()
        .filter_map(|line| line.strip_prefix("| [`"))
        .map(|row| row.split('`').next().unwrap())
        .collect();
    for component in components() {
        assert!(linked.contains(&component.as_str()), "{component}");
    }
    let missing: Vec<_> = linked.iter().filter(|name| !folder(name).is_dir()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_region_has_its_turn_alone_and_runs_what_its_environment_pins() {
    let text = fs_err::read_to_string(repo::root().join("argocd/regions.yaml")).unwrap();
    let set: Value = serde_yaml::from_str(&text).unwrap();
    let regions: Vec<&str> = list(&set["spec"]["generators"][0]["list"]["elements"])
        .iter()
        .map(|element| element["region"].as_str().unwrap())
        .collect();
    let strategy = &set["spec"]["strategy"];
    assert_eq!(strategy["type"], "RollingSync");
    let mut turns = Vec::new();
    for step in list(&strategy["rollingSync"]["steps"]) {
        assert_eq!(step["maxUpdate"], 1, "{step}");
        let [expression] = list(&step["matchExpressions"]) else { panic!("{step}") };
        assert_eq!((&expression["key"], &expression["operator"]), (&json!("region"), &json!("In")));
        turns.extend(list(&expression["values"]).iter().map(|value| value.as_str().unwrap()));
    }
    assert!(regions.len() > 1);
    assert_eq!(turns, regions);
    let template = &set["spec"]["template"];
    // A region is an environment like any other, but for where it is.
    let file = repo::root().join("argocd/apps/staging.yaml");
    let single: Value = serde_yaml::from_str(&fs_err::read_to_string(file).unwrap()).unwrap();
    for pointer in ["/metadata/annotations", "/spec/syncPolicy", "/spec/revisionHistoryLimit"] {
        assert_eq!(template.pointer(pointer), single.pointer(pointer), "{pointer}");
    }
    let environment = template["metadata"]["labels"]["env"].as_str().unwrap();
    let path = format!("kustomize/overlays/{environment}");
    assert_eq!(template["spec"]["source"]["path"], path);
    let overlay = repo::root().join(path).join("kustomization.yaml");
    let overlay: Value = serde_yaml::from_str(&fs_err::read_to_string(overlay).unwrap()).unwrap();
    assert_eq!(template["spec"]["destination"]["namespace"], overlay["namespace"]);
}
