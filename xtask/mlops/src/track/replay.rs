//! [`Replay`]: one run on a server. What is there already is asked for once, at the opening; then only what is
//! missing is sent, so that it can be broken off anywhere and done again.

use std::collections::{BTreeMap, BTreeSet};

use contract::manifest::ModelVersion;
use contract::run::{Entry, PARENT, Point};
use serde_json::{Value, json};

use super::say;
use super::server::{Passing, Server, ServerError};
use super::wire::{
    CreatedExperiment, Experiment, ExperimentAnswer, FoundRuns, Info, Metrics, Run as Remote,
    RunAnswer, UpdatedRun,
};
use crate::runs::{Run, Standing};

/// Tells our run from all others, whoever sent it and when.
pub(super) const RUN_ID: &str = "xtask.run_id";
/// 64 characters are more than MLflow takes for the digest of data.
const DATA_DIGEST: &str = "data.digest";
/// By it MLflow shows a run below another: that one's own id of the run.
const PARENT_ID: &str = "mlflow.parentRunId";
/// By which the registry finds the run that made a model.
pub(super) const MODEL_DIGEST: &str = "model.digest";
const MODEL_VERSION: &str = "model.version";
const WEIGHTS: &str = contract::artifact::WEIGHTS;

/// MLflow takes 1000 metrics, and 100 params or tags, in one call.
const METRICS_AT_ONCE: usize = 500;
const ENTRIES_AT_ONCE: usize = 100;
/// More than there are of one run: machines that found none in the same moment.
const TWINS: usize = 100;
/// MLflow takes up to 36 characters.
const DIGEST_CHARACTERS: usize = 32;

pub(super) struct Replay<'a> {
    server: &'a Server,
    pub(super) info: Info,
    params: BTreeSet<String>,
    tags: BTreeMap<String, String>,
    points: BTreeSet<(String, u32)>,
    has_data: bool,
}

/// Why a run is not on the server.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(
        "the experiment `{0}` was deleted there\n\nhint: restore it, or set MLFLOW_EXPERIMENT_NAME to another"
    )]
    DeletedExperiment(String),
    #[error(
        "it was deleted there\n\nhint: `mlflow runs restore --run-id {0}`, or leave it at that"
    )]
    DeletedRun(String),
    #[error("the server did not take the status {0}")]
    Status(&'static str),
    #[error(
        "the server keeps its artifacts at {0}, where clients write themselves; this one does not\n\n\
         hint: start the server with `--serve-artifacts`"
    )]
    OwnStore(String),
    #[error("{0}")]
    Artifact(String),
}

impl Passing for ReplayError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_passing())
    }
}

impl<'a> Replay<'a> {
    /// The run of the server that is `run`; a new one where there is none.
    pub(super) fn open(
        server: &'a Server,
        experiment: &str,
        run: &Run,
    ) -> Result<Self, ReplayError> {
        let experiment_id = experiment_id(server, experiment)?;
        // Elsewhere a run may have begun in the same second with the same seed, and have the same id.
        let filter = format!(
            "tags.`{RUN_ID}` = '{}' and attributes.start_time = {}",
            run.record.run_id, run.record.start_time
        );
        let remote = match the_one(server, &experiment_id, &filter)? {
            Some(remote) if remote.is_deleted() => {
                return Err(ReplayError::DeletedRun(remote.info.run_id));
            }
            Some(remote) => remote,
            None => {
                let created = create(server, &experiment_id, run)?;
                the_one(server, &experiment_id, &filter)?.unwrap_or(created)
            }
        };
        let mut points = BTreeSet::new();
        for key in remote.data.metrics.iter().map(|known| &known.key) {
            let query = [("run_id", remote.info.run_id.as_str()), ("metric_key", key)];
            let history: Metrics = server.get("metrics/get-history", &query)?;
            points.extend(history.metrics.into_iter().map(|known| (known.key, known.step)));
        }
        let Remote { info, data } = remote;
        Ok(Self {
            server,
            info,
            params: data.params.into_iter().map(|param| param.key).collect(),
            tags: data.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            points,
            has_data: false,
        })
    }

    /// Everything but the artifact's files and the end.
    pub(super) fn send(&mut self, run: &Run) -> Result<(), ReplayError> {
        let params = run.record.params.iter().filter(|param| !self.params.contains(&param.key));
        let params: Vec<Entry> = params.cloned().collect();
        for chunk in params.chunks(ENTRIES_AT_ONCE) {
            self.log("params", &json!(chunk))?;
            self.params.extend(chunk.iter().map(|param| param.key.clone()));
        }
        let tags = tags(run)
            .into_iter()
            .chain(self.parent(run)?)
            .filter(|tag| self.tags.get(&tag.key) != Some(&tag.value));
        let tags: Vec<Entry> = tags.collect();
        for chunk in tags.chunks(ENTRIES_AT_ONCE) {
            self.log("tags", &json!(chunk))?;
            self.tags.extend(chunk.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
        }
        let is_new = |point: &&Point| !self.points.contains(&(point.key.clone(), point.step));
        let points: Vec<&Point> = run.metrics.iter().filter(is_new).collect();
        for chunk in points.chunks(METRICS_AT_ONCE) {
            self.log("metrics", &chunk.iter().map(|point| on_the_wire(point)).collect())?;
            self.points.extend(chunk.iter().map(|point| (point.key.clone(), point.step)));
        }
        if !self.has_data {
            let _: Value = self.server.post("runs/log-inputs", &self.inputs(run))?;
            self.has_data = true;
        }
        Ok(())
    }

    /// The tag by which the run is shown below its study's; none where that one is not there yet. Asked for each time,
    /// because what was the study's may have been deleted as a twin.
    fn parent(&self, run: &Run) -> Result<Option<Entry>, ServerError> {
        let Some(parent) = run.record.tag(PARENT) else { return Ok(None) };
        let filter = format!("tags.`{RUN_ID}` = '{parent}'");
        let found = find(self.server, std::slice::from_ref(&self.info.experiment_id), &filter)?;
        Ok(found.map(|parent| Entry::new(PARENT_ID, parent.info.run_id)))
    }

    /// Status and end, once all else is there.
    pub(super) fn close(&mut self, run: &Run) -> Result<(), ReplayError> {
        let status = match run.standing {
            Standing::Running => "RUNNING",
            Standing::Finished => "FINISHED",
            Standing::Failed => "FAILED",
            Standing::Interrupted => "KILLED",
        };
        let end = run.ended_at();
        if self.info.status == status && (end.is_none() || self.info.end_time == end) {
            return Ok(());
        }
        let mut body = json!({ "run_id": self.info.run_id, "status": status });
        if let Some(end) = end {
            body["end_time"] = end.into();
        }
        let UpdatedRun { run_info } = self.server.post("runs/update", &body)?;
        // A status that it does not know is answered with 200 as well.
        if run_info.status != status {
            return Err(ReplayError::Status(status));
        }
        self.info = run_info;
        Ok(())
    }

    fn log(&self, kind: &str, entries: &Value) -> Result<(), ServerError> {
        let body = json!({ "run_id": self.info.run_id, kind: entries });
        self.server.post::<Value>("runs/log-batch", &body).map(drop)
    }

    fn inputs(&self, run: &Run) -> Value {
        let dataset = &run.record.dataset;
        let digest: String = dataset.digest.hex().chars().take(DIGEST_CHARACTERS).collect();
        // JSON inside of strings is MLflow's way.
        let profile = json!({ "num_rows": dataset.num_rows }).to_string();
        let source = json!({ "name": dataset.name, "digest": dataset.digest }).to_string();
        json!({ "run_id": self.info.run_id, "datasets": [{
            "tags": [{ "key": "mlflow.data.context", "value": "training" }],
            "dataset": {
                "name": dataset.name,
                "digest": digest,
                "source_type": "xtask",
                "source": source,
                "profile": profile,
            },
        }]})
    }
}

fn on_the_wire(Point { key, value, timestamp, step }: &Point) -> Value {
    // serde_json makes null of it, which MLflow refuses.
    let value = if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if *value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    };
    json!({ "key": key, "value": value, "timestamp": timestamp, "step": step })
}

fn tags(run: &Run) -> Vec<Entry> {
    let mut tags = run.record.tags.clone();
    tags.push(Entry::new("mlflow.source.type", "LOCAL"));
    tags.push(Entry::new(RUN_ID, &run.record.run_id));
    tags.push(Entry::new(DATA_DIGEST, run.record.dataset.digest));
    if let Some(weights) = run.record.artifacts.iter().find(|file| file.path == WEIGHTS) {
        tags.push(Entry::new(MODEL_DIGEST, weights.digest));
        tags.push(Entry::new(MODEL_VERSION, ModelVersion::of(&weights.digest).as_str()));
    }
    tags
}

fn experiment_id(server: &Server, name: &str) -> Result<String, ReplayError> {
    let by_name = || {
        let found = server.get("experiments/get-by-name", &[("experiment_name", name)]);
        found.map(|ExperimentAnswer { experiment }| experiment)
    };
    let found = match by_name() {
        Err(error) if error.is("RESOURCE_DOES_NOT_EXIST") => {
            match server.post("experiments/create", &json!({ "name": name })) {
                Ok(CreatedExperiment { experiment_id }) => return Ok(experiment_id),
                // Somebody else was faster.
                Err(error) if error.is("RESOURCE_ALREADY_EXISTS") => by_name()?,
                Err(error) => return Err(error.into()),
            }
        }
        found => found?,
    };
    let Experiment { experiment_id, lifecycle_stage } = found;
    if lifecycle_stage == "deleted" {
        return Err(ReplayError::DeletedExperiment(name.to_owned()));
    }
    Ok(experiment_id)
}

/// The run that the filter names; one that was deleted where there is no other. Machines that share a study and found
/// none at once have made one each: all go on with the same of them, and whoever sees others deletes them. What those
/// had is sent again.
fn the_one(
    server: &Server,
    experiment_id: &str,
    filter: &str,
) -> Result<Option<Remote>, ServerError> {
    let mut runs = search(server, &[experiment_id.to_owned()], filter)?;
    runs.sort_by(|one, other| {
        (one.is_deleted(), &one.info.run_id).cmp(&(other.is_deleted(), &other.info.run_id))
    });
    let mut runs = runs.into_iter();
    let first = runs.next();
    for twin in runs.filter(|run| !run.is_deleted()) {
        let id = &twin.info.run_id;
        match server.post::<Value>("runs/delete", &json!({ "run_id": id })) {
            Err(error) if error.is_passing() => return Err(error),
            // Who may write may not always delete.
            Err(error) => say(format_args!("the same run stays there as {id}, too: {error}")),
            Ok(_) => {}
        }
    }
    Ok(first)
}

/// The oldest run of which this holds; one that was deleted where there is no other.
pub(super) fn find(
    server: &Server,
    experiments: &[String],
    filter: &str,
) -> Result<Option<Remote>, ServerError> {
    Ok(search(server, experiments, filter)?.into_iter().min_by_key(Remote::is_deleted))
}

fn search(
    server: &Server,
    experiments: &[String],
    filter: &str,
) -> Result<Vec<Remote>, ServerError> {
    let body = json!({
        "experiment_ids": experiments,
        "filter": filter,
        "run_view_type": "ALL",
        "max_results": TWINS,
        "order_by": ["attributes.start_time ASC"],
    });
    server.post("runs/search", &body).map(|FoundRuns { runs }| runs)
}

fn create(server: &Server, experiment_id: &str, run: &Run) -> Result<Remote, ServerError> {
    let body = json!({
        "experiment_id": experiment_id,
        "run_name": run.record.run_name,
        "start_time": run.record.start_time,
        "tags": tags(run),
    });
    server.post("runs/create", &body).map(|RunAnswer { run }| run)
}
