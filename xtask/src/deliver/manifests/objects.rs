//! [`Objects`]: rendered manifests as rules look at them. Schemas are checked elsewhere, so a field of
//! the wrong type is taken for a missing one here.

use serde::Deserialize;
use serde_json::Value;

pub(super) struct Objects(Vec<Object>);

pub(super) struct Object(Value);

/// Nothing, where something was looked for.
static NULL: Value = Value::Null;

impl Objects {
    pub(super) fn parse(manifests: &str) -> Result<Self, serde_yaml::Error> {
        let documents = serde_yaml::Deserializer::from_str(manifests);
        documents
            .map(|document| Value::deserialize(document).map(Object))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn all(&self) -> &[Object] {
        &self.0
    }

    pub(super) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.0.iter().filter(move |object| object.kind() == kind)
    }

    pub(super) fn find<'a>(&'a self, kind: &'a str, name: &str) -> Option<&'a Object> {
        self.of(kind).find(|object| object.name() == name)
    }

    /// Everything that runs pods.
    pub(super) fn workloads(&self) -> impl Iterator<Item = &Object> {
        self.0.iter().filter(|object| object.at("/spec/template/spec").is_object())
    }
}

impl Object {
    pub(super) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(super) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// As people call it: `Deployment/api`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&NULL)
    }

    pub(super) fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    pub(super) fn list(&self, pointer: &str) -> &[Value] {
        list(self.at(pointer))
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.at("/metadata/annotations")[name].as_str()
    }

    /// Containers of its pods, those that only prepare included.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Value> {
        let main = self.list("/spec/template/spec/containers");
        main.iter().chain(self.list("/spec/template/spec/initContainers"))
    }

    pub(super) fn pod_labels(&self) -> &Value {
        self.at("/spec/template/metadata/labels")
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// Whether a label selector, as far as `matchLabels` go, picks these labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let only_labels = selector.keys().all(|key| key == "matchLabels");
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    only_labels
        && wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
}

/// `250m`, `5s`: the number and its unit.
pub(super) fn seconds(text: &str) -> Option<u64> {
    text.strip_suffix('s')?.parse().ok()
}
