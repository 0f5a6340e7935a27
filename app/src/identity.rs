//! [`Identity`]: which build serves which model. Every answer carries it in its headers.

use contract::manifest::Manifest;
use poem::http::{HeaderName, HeaderValue};
use serde_json::json;

#[derive(Debug)]
pub struct Identity {
    pub app_version: String,
    pub revision: String,
    pub manifest: Manifest,
    headers: [(HeaderName, HeaderValue); 4],
}

pub const APP_VERSION: &str = "x-app-version";
pub const MODEL_NAME: &str = "x-model-name";
pub const MODEL_VERSION: &str = "x-model-version";
pub const MODEL_DIGEST: &str = "x-model-digest";

impl Identity {
    pub fn new(app_version: String, revision: String, manifest: Manifest) -> Self {
        let header = |name, value: &str| {
            let value = HeaderValue::from_str(value).expect("checked to be visible ASCII");
            (HeaderName::from_static(name), value)
        };
        let headers = [
            header(APP_VERSION, &app_version),
            header(MODEL_NAME, &manifest.task.name),
            header(MODEL_VERSION, manifest.model_version.as_str()),
            header(MODEL_DIGEST, &manifest.model_digest.to_string()),
        ];
        Self { app_version, revision, manifest, headers }
    }

    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        self.headers.iter().cloned()
    }

    /// Body of `GET /version`.
    pub fn version(&self) -> serde_json::Value {
        let model = &self.manifest;
        json!({
            "app_version": self.app_version,
            "revision": self.revision,
            "model_name": model.task.name,
            "model_version": model.model_version,
            "model_digest": model.model_digest,
            "libtorch": model.libtorch,
        })
    }

    /// Body of `GET /v1/model`.
    pub fn model(&self) -> serde_json::Value {
        let Manifest { task, model_version, model_digest, data, training, metrics, .. } =
            &self.manifest;
        json!({
            "name": task.name,
            "title": self.manifest.title(),
            "version": model_version,
            "digest": model_digest,
            "input": task.input,
            "classes": task.classes,
            "data": data.name,
            "accuracy": metrics.accuracy,
            "calibration_error": metrics.calibration_error,
            "parameters": training.parameters,
            "recipe": training.recipe,
            "trained_at": training.finished_at,
        })
    }

    pub fn model_version(&self) -> &str {
        self.manifest.model_version.as_str()
    }
}
