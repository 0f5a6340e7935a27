//! [`Told`]: the study as a run of its own among those of its trials, which name it as their parent, and all of them
//! at MLflow where a server is named. Written from the state alone, so that whoever goes on with a study goes on with
//! its record.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

use contract::atomic;
use contract::run::{Entry, LOCK, METRICS, Point, RECORD, Record, SCHEMA, Status};
use fs_err::{self as fs, File};
use serde_json::Value;

use super::state::{Founded, How, Seen};
use super::study::Study;
use super::work;

pub(super) struct Told<'a> {
    pub(super) founded: &'a Founded,
    pub(super) runs: PathBuf,
    /// Held from the first time that nobody else held it.
    pub(super) lock: Mutex<Option<File>>,
    /// To whoever speaks to MLflow.
    pub(super) tracking: Option<Sender<PathBuf>>,
}

impl Told<'_> {
    /// After the end of a trial, whose run is in `folder`.
    pub(super) fn ended(
        &self,
        study: &Study,
        seen: &Seen,
        folder: Option<&Path>,
    ) -> anyhow::Result<()> {
        self.write(study, seen, Status::Running)?;
        if let (Some(tracking), Some(folder)) = (&self.tracking, folder) {
            // Who does not take it any more has said so.
            drop(tracking.send(self.folder()));
            drop(tracking.send(folder.to_owned()));
        }
        Ok(())
    }

    pub(super) fn finished(&self, study: &Study, seen: &Seen) -> anyhow::Result<()> {
        self.write(study, seen, Status::Finished)?;
        if let Some(tracking) = &self.tracking {
            drop(tracking.send(self.folder()));
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.runs.join(&self.founded.run_id)
    }

    fn write(&self, study: &Study, seen: &Seen, status: Status) -> anyhow::Result<()> {
        let Some(dataset) = &seen.data else { return Ok(()) };
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            fs::create_dir_all(self.folder())?;
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(self.folder().join(LOCK))?;
            if file.file().try_lock().is_err() {
                // Another process here writes the same.
                return Ok(());
            }
            fs::write(self.folder().join(LOCK), format!("{}\n", std::process::id()))?;
            *lock = Some(file);
        }
        let metrics = points(study, seen);
        let last = seen.trials.values().filter_map(|trial| Some(trial.end.as_ref()?.at)).max();
        let end_time = (status == Status::Finished).then(|| last.unwrap_or(self.founded.at));
        let record = Record {
            schema: SCHEMA,
            run_id: self.founded.run_id.clone(),
            experiment_name: dataset.name.clone(),
            run_name: format!("study-{}", study.name),
            status,
            start_time: self.founded.at,
            end_time,
            params: params(study),
            tags: tags(study, seen),
            dataset: dataset.clone(),
            artifact_uri: None,
            artifacts: Vec::new(),
        };
        let lines = metrics.iter().map(|point| Ok(serde_json::to_string(point)? + "\n"));
        let lines = lines.collect::<anyhow::Result<String>>()?;
        atomic::write_file(&self.folder().join(METRICS), lines.as_bytes())?;
        atomic::write_file(&self.folder().join(RECORD), &serde_json::to_vec_pretty(&record)?)?;
        Ok(())
    }
}

fn params(study: &Study) -> Vec<Entry> {
    let written = serde_json::to_value(&study.written).unwrap_or_default();
    let mut params = Vec::new();
    for (key, value) in written.as_object().into_iter().flatten() {
        match value {
            Value::Object(fields) => {
                params.extend(
                    fields.iter().map(|(field, value)| Entry::new(format!("{key}.{field}"), value)),
                );
            }
            Value::String(text) => params.push(Entry::new(key, text)),
            // It may be raised, and a parameter is said once.
            _ if key == "trials" => {}
            value => params.push(Entry::new(key, value)),
        }
    }
    params
}

fn tags(study: &Study, seen: &Seen) -> Vec<Entry> {
    let mut tags = vec![
        Entry::new("mlflow.source.name", "cargo xtask tune"),
        Entry::new("study", &study.name),
        Entry::new("study.trials", study.written.trials),
    ];
    if let Some((number, best)) = work::best(study, seen) {
        tags.push(Entry::new("study.best", work::name(number)));
        for (field, value) in best.params().into_iter().flatten() {
            tags.push(Entry::new(format!("study.best.{field}"), value));
        }
    }
    tags
}

/// A trial's number is the step, so that a point stays the same whichever trials end after it: what each of the search
/// came to, and the best up to it, once all up to it have ended.
fn points(study: &Study, seen: &Seen) -> Vec<Point> {
    let objective = study.written.objective;
    let mut points = Vec::new();
    let (mut best, mut all_ended): (Option<f64>, bool) = (None, true);
    for (number, step) in (0..study.written.trials).zip(0..) {
        let end = seen.trials.get(&work::name(number)).and_then(|trial| trial.end.as_ref());
        all_ended &= end.is_some();
        let Some(end) = end else { continue };
        let Some(value) = end.value else { continue };
        let mut point = |key: &str, value| {
            let key = format!("{key}/{}", objective.metric());
            points.push(Point { key, value, timestamp: end.at, step });
        };
        point("trial", value);
        if end.how == How::Finished {
            let is_better = best.is_none_or(|best| objective.cost(value) < objective.cost(best));
            best = if is_better { Some(value) } else { best };
        }
        if let Some(best) = best.filter(|_| all_ended) {
            point("best", best);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::super::state::Trial;
    use super::*;

    #[test]
    fn a_point_stays_what_it_is_whichever_trials_end_after_it() {
        let study = Study::of_one_field(4);
        let mut seen = Seen::default();
        let mut told: Vec<(String, u32, f64)> = Vec::new();
        // The clock of whoever was at trial 2 is behind.
        for (number, value, at) in
            [(0, Ok(0.5), 10), (3, Ok(0.9), 20), (2, Ok(0.7), 1), (1, Err("killed"), 30)]
        {
            seen.trials.insert(work::name(number), Trial::of_one_field(1.0, value, at));
            let points = points(&study, &seen);
            let now: Vec<_> =
                points.into_iter().map(|point| (point.key, point.step, point.value)).collect();
            assert!(told.iter().all(|before| now.contains(before)), "{told:?}, then {now:?}");
            told = now;
        }
        let best = told.iter().filter(|(key, ..)| key.starts_with("best/"));
        let best: Vec<_> = best.map(|(_, step, value)| (*step, *value)).collect();
        assert_eq!(best, [(0, 0.5), (2, 0.7), (3, 0.9)]);
    }
}
