//! What MLflow answers, as far as we look at it.

use contract::run::Entry;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct ExperimentAnswer {
    pub(super) experiment: Experiment,
}

#[derive(Debug, Deserialize)]
pub(super) struct Experiment {
    pub(super) experiment_id: String,
    #[serde(default)]
    pub(super) lifecycle_stage: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CreatedExperiment {
    pub(super) experiment_id: String,
}

/// Nothing at all where nothing was found.
#[derive(Debug, Deserialize)]
pub(super) struct FoundRuns {
    #[serde(default)]
    pub(super) runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunAnswer {
    pub(super) run: Run,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) info: Info,
    #[serde(default)]
    pub(super) data: Data,
}

impl Run {
    pub(super) fn is_deleted(&self) -> bool {
        self.info.lifecycle_stage == "deleted"
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Info {
    pub(super) run_id: String,
    pub(super) experiment_id: String,
    pub(super) artifact_uri: String,
    pub(super) status: String,
    pub(super) end_time: Option<i64>,
    pub(super) lifecycle_stage: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Data {
    #[serde(default)]
    pub(super) params: Vec<Entry>,
    #[serde(default)]
    pub(super) tags: Vec<Entry>,
    /// Of every metric the last point.
    #[serde(default)]
    pub(super) metrics: Vec<Known>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Known {
    pub(super) key: String,
    #[serde(default)]
    pub(super) step: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metrics {
    #[serde(default)]
    pub(super) metrics: Vec<Known>,
}

#[derive(Debug, Deserialize)]
pub(super) struct UpdatedRun {
    pub(super) run_info: Info,
}

#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) files: Vec<ListedFile>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedFile {
    pub(super) path: String,
    /// Not told of an empty one.
    #[serde(default)]
    pub(super) file_size: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct FoundVersions {
    #[serde(default)]
    pub(super) model_versions: Vec<ModelVersion>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionAnswer {
    pub(super) model_version: ModelVersion,
}

#[derive(Debug, Deserialize)]
pub(super) struct ModelVersion {
    pub(super) name: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) tags: Vec<Entry>,
}
