//! [`Artifact`]: a folder with a trained model and its manifest, verified byte for byte on opening.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::evaluation::Evaluation;
use crate::manifest::{Manifest, ModelVersion, SCHEMA};
use crate::robustness::Robustness;

/// TorchScript: pixels in, probabilities out.
pub const MODEL: &str = "model.pt";
/// The trained variables by name.
pub const WEIGHTS: &str = "weights.safetensors";
pub const MANIFEST: &str = "manifest.json";
/// The [`Evaluation`] on the test suite.
pub const EVALUATION: &str = "evaluation.json";
/// The [`Robustness`] on perturbed images of it. Artifacts of earlier trainers have none.
pub const ROBUSTNESS: &str = "robustness.json";
pub const METRICS: &str = "metrics.jsonl";
pub const CARD: &str = "MODEL_CARD.md";

/// Without these a folder is not an artifact, whatever its manifest lists.
const REQUIRED: [&str; 3] = [MODEL, WEIGHTS, EVALUATION];

#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("`{path}` is not an artifact: {source}")]
    Manifest { path: PathBuf, source: io::Error },
    #[error("`{path}` cannot be read as a manifest: {source}")]
    Syntax { path: PathBuf, source: serde_json::Error },
    #[error("`{path}` has schema {found}, this program reads {SCHEMA}")]
    Schema { path: PathBuf, found: u64 },
    #[error("`{path}` contradicts itself: {mistake}")]
    Contradiction { path: PathBuf, mistake: String },
    #[error("a file of the artifact cannot be read: {source}")]
    File { source: io::Error },
    #[error("`{path}` was changed after training: expected {expected}, found {found}")]
    Changed { path: PathBuf, expected: Digest, found: Digest },
    #[error("`{path}` cannot be read as an evaluation: {source}")]
    Evaluation { path: PathBuf, source: serde_json::Error },
}

impl Artifact {
    /// Reads the manifest and verifies the digest of every file it lists.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let manifest_path = path.join(MANIFEST);
        let manifest = read_manifest(&manifest_path, path)?;
        if let Some(mistake) = contradiction(&manifest) {
            return Err(ArtifactError::Contradiction { path: manifest_path, mistake });
        }
        for (name, &expected) in &manifest.files {
            let file = path.join(name);
            let found = Digest::of_file(&file).map_err(|source| ArtifactError::File { source })?;
            if found != expected {
                return Err(ArtifactError::Changed { path: file, expected, found });
            }
        }
        Ok(Self { path: path.to_owned(), manifest })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    pub fn weights(&self) -> PathBuf {
        self.path.join(WEIGHTS)
    }

    pub fn evaluation(&self) -> Result<Evaluation, ArtifactError> {
        self.read(EVALUATION)
    }

    /// None in an artifact that was written before there was such a file.
    pub fn robustness(&self) -> Result<Option<Robustness>, ArtifactError> {
        self.manifest.files.contains_key(ROBUSTNESS).then(|| self.read(ROBUSTNESS)).transpose()
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, ArtifactError> {
        let path = self.path.join(name);
        let bytes = fs_err::read(&path).map_err(|source| ArtifactError::File { source })?;
        serde_json::from_slice(&bytes).map_err(|source| ArtifactError::Evaluation { path, source })
    }
}

fn read_manifest(path: &Path, folder: &Path) -> Result<Manifest, ArtifactError> {
    let bytes = fs_err::read(path)
        .map_err(|source| ArtifactError::Manifest { path: folder.to_owned(), source })?;
    let syntax = |source| ArtifactError::Syntax { path: path.to_owned(), source };
    // The schema is read first: a manifest of another schema need not parse as ours.
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(syntax)?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(SCHEMA) => {
            Err(ArtifactError::Schema { path: path.to_owned(), found })
        }
        _ => serde_json::from_value(value).map_err(syntax),
    }
}

fn contradiction(manifest: &Manifest) -> Option<String> {
    if let Some(mistake) = manifest.task.mistakes().into_iter().next() {
        return Some(format!("task.{mistake}"));
    }
    for name in manifest.files.keys() {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Some(format!("files: `{name}` is not a plain file name"));
        }
    }
    for name in REQUIRED {
        if !manifest.files.contains_key(name) {
            return Some(format!("files: `{name}` is missing"));
        }
    }
    if manifest.files.get(WEIGHTS) != Some(&manifest.model_digest) {
        return Some(format!("model_digest is not the digest of `{WEIGHTS}`"));
    }
    if ModelVersion::of(&manifest.model_digest) != manifest.model_version {
        return Some("model_version is not the start of model_digest".to_owned());
    }
    None
}
