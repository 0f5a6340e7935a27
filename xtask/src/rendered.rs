//! [`Objects`]: rendered manifests, for the rules that check them and for whoever runs them without a
//! cluster. Schemas are checked elsewhere, so a field of the wrong type is taken for a missing one here.

pub(crate) mod smoke;

use serde::Deserialize;
use serde_json::Value;

pub(crate) struct Objects(Vec<Object>);

pub(crate) struct Object(Value);

/// Nothing, where something was looked for.
static NULL: Value = Value::Null;

impl Objects {
    pub(crate) fn parse(manifests: &str) -> Result<Self, serde_yaml::Error> {
        let documents = serde_yaml::Deserializer::from_str(manifests);
        documents
            .map(|document| {
                // kustomize refuses a key that is there twice; JSON would take the last one.
                let value = serde_yaml::Value::deserialize(document)?;
                serde_yaml::from_value(value).map(Object)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn all(&self) -> &[Object] {
        &self.0
    }

    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.0.iter().filter(move |object| object.kind() == kind)
    }

    pub(crate) fn find<'a>(&'a self, kind: &'a str, name: &str) -> Option<&'a Object> {
        self.of(kind).find(|object| object.name() == name)
    }

    /// Everything that runs pods.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Object> {
        self.0.iter().filter(|object| object.at("/spec/template/spec").is_object())
    }
}

impl Object {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// As people call it: `Deployment/api`.
    pub(crate) fn title(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&NULL)
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        list(self.at(pointer))
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.at("/metadata/annotations")[name].as_str()
    }

    /// Containers of its pods, those that only prepare included.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Value> {
        let main = self.list("/spec/template/spec/containers");
        main.iter().chain(self.list("/spec/template/spec/initContainers"))
    }

    pub(crate) fn pod_labels(&self) -> &Value {
        self.at("/spec/template/metadata/labels")
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// Whether a label selector, as far as `matchLabels` go, picks these labels.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let only_labels = selector.keys().all(|key| key == "matchLabels");
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    only_labels
        && wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
}

/// `5s` as its number.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    text.strip_suffix('s')?.parse().ok()
}
