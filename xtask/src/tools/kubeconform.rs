//! kubeconform: manifests against the schemas of one Kubernetes version, without a network.
//!
//! The schemas come from a package of the Python index, where all of them refer to one large file by its address on
//! the internet. Here each has the definitions that it needs in itself: nothing is asked for there, and kubeconform,
//! which reads what a schema refers to once more for every kind of object, is ten times as fast.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::atomic::AtomicDir;
use fs_err as fs;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::libtorch::cache_folder;
use crate::process::Cmd;
use crate::report::step;
use crate::tools::pinned::GoTool;
use crate::tools::pip::{self, Wheel};

const KUBECONFORM: GoTool = GoTool {
    name: "kubeconform",
    package: "github.com/yannh/kubeconform/cmd/kubeconform",
    version: "v0.8.0",
};
const SCHEMAS: Wheel = Wheel {
    package: "kubernetes-validate",
    version: "1.37.0",
    platform: "any",
    sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
};
/// The oldest version that is meant to run what we deploy.
pub(crate) const KUBERNETES: &str = "1.34";

/// Every object that its schema refuses, unknown fields included, with the name of its manifests.
///
/// All at once: a schema is read once, however many objects it is for.
pub(crate) fn mistakes(manifests: &[(String, String)]) -> anyhow::Result<Vec<(String, String)>> {
    // Without any file it would wait for one on stdin.
    if manifests.is_empty() {
        return Ok(Vec::new());
    }
    let schemas = schemas()?;
    let location = format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", schemas.display());
    let folder = tempfile::tempdir()?;
    for (name, text) in manifests {
        fs::write(folder.path().join(format!("{name}.yaml")), text)?;
    }
    let kubeconform = Cmd::new(KUBECONFORM.provide()?, folder.path())
        .args(["-strict", "-output", "json", "-schema-location", &location])
        .args(manifests.iter().map(|(name, _)| format!("{name}.yaml")));
    let ended = kubeconform.end()?;
    let report: Report = serde_json::from_str(&ended.stdout)
        .with_context(|| format!("`{kubeconform}` printed no report: {}", ended.stderr.trim()))?;
    let mistaken = report.resources.iter().filter(|resource| !resource.is_of_an_operator());
    Ok(mistaken.map(|resource| (resource.manifests(), resource.mistake())).collect())
}

pub(crate) fn provide() -> anyhow::Result<()> {
    KUBECONFORM.provide()?;
    schemas().map(drop)
}

#[derive(Deserialize)]
struct Report {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    filename: String,
    kind: String,
    version: String,
    name: String,
    msg: String,
}

impl Resource {
    /// Kinds that a component's operator defines have their schemas in its cluster, not in Kubernetes.
    fn is_of_an_operator(&self) -> bool {
        let group = self.version.split_once('/').map_or("", |(group, _)| group);
        let is_foreign = group.contains('.') && !group.ends_with(".k8s.io");
        is_foreign && self.msg.starts_with("could not find schema for ")
    }

    fn manifests(&self) -> String {
        self.filename.trim_end_matches(".yaml").to_owned()
    }

    fn mistake(&self) -> String {
        let reason = match self.msg.split_once(" - at '") {
            // The validator names its own files first.
            Some((_, places)) => format!("'{places}"),
            None => self.msg.clone(),
        };
        format!("{}/{}: {reason}", self.kind, self.name)
    }
}

fn schemas() -> anyhow::Result<PathBuf> {
    let parent = cache_folder()?.join("kubernetes-schemas");
    let home = parent.join(format!("{KUBERNETES}-from-{}-each-whole", SCHEMAS.version));
    if home.is_dir() {
        return Ok(home);
    }
    fs::create_dir_all(&parent)?;
    let lock = fs::File::create(parent.join(".lock"))?;
    lock.file().lock().context("waiting for another installation")?;
    if !home.is_dir() {
        step(format_args!("downloading the schemas of Kubernetes {KUBERNETES} (22 MB)"));
        let downloads = parent.join("downloads");
        pip::download(&SCHEMAS, &downloads)?;
        unpack(&downloads, &home)?;
        fs::remove_dir_all(&downloads)?;
    }
    Ok(home)
}

fn unpack(downloads: &Path, home: &Path) -> anyhow::Result<()> {
    let wheel = downloads.join(format!("kubernetes_validate-{}-py3-none-any.whl", SCHEMAS.version));
    let prefix =
        format!("kubernetes_validate/kubernetes-json-schema/v{KUBERNETES}.0-local-strict/");
    let folder = AtomicDir::create(home)?;
    let mut archive = zip::ZipArchive::new(fs::File::open(&wheel)?)?;
    let mut definitions = schema(archive.by_name(&format!("{prefix}{DEFINITIONS}"))?)?;
    let definitions: Map<String, Value> = serde_json::from_value(definitions["$defs"].take())?;
    for index in 0..archive.len() {
        let member = archive.by_index(index)?;
        let Some(name) = member.name().strip_prefix(&prefix).map(str::to_owned) else { continue };
        if !member.is_file() || name.contains('/') || name == DEFINITIONS {
            continue;
        }
        let whole = whole(schema(member)?, &definitions).context(name.clone())?;
        fs::write(folder.path().join(name), whole)?;
    }
    Ok(folder.commit()?)
}

const DEFINITIONS: &str = "_definitions.json";
/// Where a schema finds its definitions; among themselves they leave it out.
const ADDRESS: &str = "/api/_definitions.json";
const DEFINITION: &str = "#/$defs/";

/// Without what only readers want.
fn schema(mut file: impl Read) -> anyhow::Result<Value> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut schema: Value = serde_json::from_str(&text)?;
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$id");
    }
    forget_descriptions(&mut schema);
    Ok(schema)
}

/// With all that it refers to in itself.
fn whole(mut schema: Value, definitions: &Map<String, Value>) -> anyhow::Result<String> {
    let mut names = BTreeSet::new();
    let mut wanted = references(&schema);
    while let Some(name) = wanted.pop() {
        let definition = definitions.get(&name).with_context(|| format!("no definition {name}"))?;
        if names.insert(name) {
            wanted.extend(references(definition));
        }
    }
    let needed = definitions.iter().filter(|(name, _)| names.contains(*name));
    schema["$defs"] = needed.map(|(name, definition)| (name.clone(), definition.clone())).collect();
    Ok(schema.to_string().replace(&format!("\"{ADDRESS}{DEFINITION}"), &format!("\"{DEFINITION}")))
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::String(text) => {
            let place = text.strip_prefix(ADDRESS).unwrap_or(text);
            place.strip_prefix(DEFINITION).map(str::to_owned).into_iter().collect()
        }
        Value::Object(fields) => fields.values().flat_map(references).collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Most of a schema is prose, which would be parsed again for every kind of object.
fn forget_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A field of that name has a schema, which is no text.
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(forget_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_descriptions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_has_in_itself_what_it_demands_however_far_that_leads_and_nothing_else() {
        let text = r#"{"$id": "https://k.io/x", "description": "prose", "required": ["description"],
            "properties": {"description": {"type": "string", "description": "prose"},
            "spec": {"$ref": "/api/_definitions.json#/$defs/Spec"}}}"#;
        let definitions = json!({
            "Spec": { "items": { "$ref": "#/$defs/Item" } },
            "Item": { "properties": { "of": { "$ref": "#/$defs/Spec" } } },
            "Other": {},
        });
        let definitions = definitions.as_object().unwrap();
        let expected = json!({
            "required": ["description"],
            "properties": {
                "description": { "type": "string" },
                "spec": { "$ref": "#/$defs/Spec" },
            },
            "$defs": {
                "Spec": { "items": { "$ref": "#/$defs/Item" } },
                "Item": { "properties": { "of": { "$ref": "#/$defs/Spec" } } },
            },
        });
        let whole = whole(schema(text.as_bytes()).unwrap(), definitions).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), expected);
        let unknown = json!({ "$ref": "/api/_definitions.json#/$defs/Unknown" });
        assert!(super::whole(unknown, definitions).is_err());
    }

    #[test]
    fn a_mistake_names_the_object_and_the_place() {
        let check = |message: &str, expected: &str| {
            let resource = Resource {
                filename: "staging.yaml".to_owned(),
                kind: "Job".to_owned(),
                version: "batch/v1".to_owned(),
                name: "smoke".to_owned(),
                msg: message.to_owned(),
            };
            assert_eq!(resource.manifests(), "staging");
            assert_eq!(resource.mistake(), format!("Job/smoke: {expected}"));
        };
        check(
            "problem validating schema. jsonschema validation failed with 'file:///x.json#' - at '/spec': got string",
            "'/spec': got string",
        );
        check("could not find schema for Job", "could not find schema for Job");
    }

    #[test]
    fn only_a_group_that_kubernetes_does_not_have_may_lack_a_schema() {
        for (version, msg, expected) in [
            ("argoproj.io/v1alpha1", "could not find schema for Rollout", true),
            ("argoproj.io/v1alpha1", "problem validating schema", false),
            ("networking.k8s.io/v9", "could not find schema for Ingress", false),
            ("autoscaling/v9", "could not find schema for HorizontalPodAutoscaler", false),
            ("v2", "could not find schema for Service", false),
        ] {
            let resource = Resource {
                filename: "staging.yaml".to_owned(),
                kind: "Any".to_owned(),
                version: version.to_owned(),
                name: "any".to_owned(),
                msg: msg.to_owned(),
            };
            assert_eq!(resource.is_of_an_operator(), expected, "{version}: {msg}");
        }
    }
}
