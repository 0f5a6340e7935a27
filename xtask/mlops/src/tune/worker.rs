//! [`Team`]: threads that each take the next trial, train it and tell the state what became of it. A trial is its
//! worker's for as long as that one is heard of: by its process on the same machine, by its beat elsewhere. No two
//! clocks are compared; a beat is old when we have not seen it change.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use contract::atomic;
use contract::run::{self, Entry, PARENT, Record, Status};
use jiff::Timestamp;

use super::record::Told;
use super::space::changed;
use super::state::{Claim, End, Founded, How, Rung, Seen, State, Trial, Worker};
use super::study::Study;
use super::trainer::{DIVERGED, Trainer};
use super::work::{Next, Work, next};
use super::{numbered, step};

/// Between looks at a training.
const LOOK: Duration = Duration::from_millis(100);
/// Between looks for something to do.
const PAUSE: Duration = Duration::from_millis(500);
/// A trainer that was killed is started again so often.
const AGAIN: usize = 2;
const TRIAL: &str = "study.trial";

pub(super) struct Team<'a> {
    pub(super) study: &'a Study,
    pub(super) state: &'a State,
    pub(super) founded: &'a Founded,
    pub(super) trainer: &'a Trainer,
    /// For recipes and what trainers say.
    pub(super) folder: PathBuf,
    pub(super) me: Worker,
    /// Who was not heard of for so long is gone.
    pub(super) lease: Duration,
    pub(super) told: Told<'a>,
    pub(super) heard: Mutex<BTreeMap<String, (String, Instant)>>,
    pub(super) stops: AtomicBool,
}

/// What became of a training at a rung.
enum Verdict {
    Stopped { epoch: u32, value: f64 },
    Diverged { epoch: u32 },
}

impl Team<'_> {
    /// Until nothing is left to do.
    pub(super) fn work(&self, jobs: usize) -> anyhow::Result<()> {
        let ends = scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(|| self.one())).collect();
            workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for end in ends {
            end.map_err(|_panic| anyhow::anyhow!("a worker panicked; its message is above"))??;
        }
        Ok(())
    }

    fn one(&self) -> anyhow::Result<()> {
        let ended = self.until_done();
        if ended.is_err() {
            self.stops.store(true, Ordering::Relaxed);
        }
        ended
    }

    fn until_done(&self) -> anyhow::Result<()> {
        while !self.stops.load(Ordering::Relaxed) {
            let seen = self.state.look()?;
            match next(self.study, &seen, |name, trial| self.is_lost(name, trial)) {
                Next::Done => return Ok(()),
                Next::Wait => sleep(PAUSE),
                Next::Take(work) => {
                    let claim = Claim {
                        worker: self.me.clone(),
                        at: now(),
                        params: work.params.clone(),
                        seed: work.seed,
                    };
                    if self.state.claim(&work.trial, work.turn, &claim)? {
                        self.train(&work, &seen)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_lost(&self, name: &str, trial: &Trial) -> bool {
        let Some(Claim { worker, .. }) = trial.claims.last() else { return false };
        if worker == &self.me {
            return false;
        }
        if worker.host == self.me.host && !worker.host.is_empty() {
            // A process of our own number was before us.
            return worker.pid == self.me.pid || !atomic::is_running(worker.pid);
        }
        let mark = format!("{} {}", trial.claims.len(), trial.beat);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.get(name) {
            Some((known, since)) if *known == mark => since.elapsed() > self.lease,
            _ => {
                heard.insert(name.to_owned(), (mark, Instant::now()));
                false
            }
        }
    }

    fn train(&self, work: &Work, seen: &Seen) -> anyhow::Result<()> {
        let Work { trial, params, seed, .. } = work;
        let values: Vec<_> =
            params.iter().map(|(field, value)| format!("{field} {value}")).collect();
        let again = if work.turn > 0 { "again, " } else { "" };
        step(format_args!("trial {trial}: {again}seed {seed}, {}", values.join(", ")));
        let recipe = self.folder.join(format!("{}-{trial}.yaml", self.study.name));
        let text = serde_yaml::to_string(&changed(&self.study.base, params))?;
        atomic::write_file(&recipe, text.as_bytes())?;
        if let Some(folder) = self.finished_before(&recipe, *seed)? {
            let mut rungs =
                seen.trials.get(trial).map(|trial| trial.rungs.clone()).unwrap_or_default();
            let verdict = self.judge(work, &folder, &mut rungs)?;
            return self.ended(work, Some(&folder), verdict, None);
        }
        if let Err(mistake) = self.trainer.recipes(&[recipe.display().to_string()]) {
            return self.ended(work, None, None, Some(mistake));
        }
        let tags = [Entry::new(PARENT, &self.founded.run_id), Entry::new(TRIAL, trial)];
        let start = || self.trainer.start(&recipe, *seed, &tags);
        let mut training = start()?;
        let mut rungs = seen.trials.get(trial).map(|trial| trial.rungs.clone()).unwrap_or_default();
        let (mut deaths, mut beats, mut beat_at, mut data_is_known) = (0, 0, Instant::now(), false);
        loop {
            if self.stops.load(Ordering::Relaxed) {
                return Ok(());
            }
            if Instant::now() >= beat_at {
                if self.was_taken_over(work)? {
                    step(format_args!("trial {trial}: another worker has taken it over"));
                    return Ok(());
                }
                self.state.beat(trial, work.turn, beats)?;
                (beats, beat_at) = (beats + 1, Instant::now() + self.lease / 4);
            }
            // Asked first: what it wrote before its end is read then.
            let status = training.ended()?;
            let folder = training.run();
            if let Some(folder) = &folder {
                if !data_is_known {
                    self.is_of_the_same_data(folder)?;
                    data_is_known = true;
                }
                if let Some(verdict) = self.judge(work, folder, &mut rungs)? {
                    training.stop()?;
                    return self.ended(work, Some(folder), Some(verdict), None);
                }
            }
            let Some(status) = status else {
                sleep(LOOK);
                continue;
            };
            if status.success() {
                return self.ended(work, folder.as_deref(), None, None);
            }
            if status.code() == Some(DIVERGED) {
                return self.ended(work, folder.as_deref(), None, Some(training.complaint()));
            }
            if status.signal().is_some() && deaths < AGAIN {
                deaths += 1;
                step(format_args!("trial {trial}: its trainer was killed ({status}); going on"));
                training = start()?;
                continue;
            }
            return training.demand_unasked(status).with_context(|| format!("trial {trial}"));
        }
    }

    /// A training of the trial that came to its end, and whose worker did not live to tell. One that has not yet seen
    /// that its worker is gone is waited for; it stops at its next step.
    fn finished_before(&self, recipe: &Path, seed: u64) -> anyhow::Result<Option<PathBuf>> {
        let stem = recipe.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
        let is_named = |folder: &PathBuf| {
            folder.file_name().is_some_and(|id| id.to_string_lossy().contains(&*stem))
        };
        for folder in run::entries(&self.trainer.runs)?.into_iter().filter(is_named) {
            let is_its = |record: &Record| {
                record.param("recipe") == Some(&stem)
                    && record.param("seed") == Some(&seed.to_string())
                    && record.tag(PARENT) == Some(&self.founded.run_id)
            };
            while Record::read(&folder).is_ok_and(|record| is_its(&record))
                && run::is_held(&folder)?
                && !self.stops.load(Ordering::Relaxed)
            {
                sleep(LOOK);
            }
            let is_finished = |record: Record| is_its(&record) && record.status == Status::Finished;
            if Record::read(&folder).is_ok_and(is_finished) {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    fn was_taken_over(&self, work: &Work) -> anyhow::Result<bool> {
        let seen = self.state.look()?;
        let trial = seen.trials.get(&work.trial);
        Ok(trial.is_some_and(|trial| trial.claims.len() > work.turn + 1 || trial.end.is_some()))
    }

    fn is_of_the_same_data(&self, folder: &Path) -> anyhow::Result<()> {
        let data = Record::read(folder)?.dataset;
        if !self.state.say_data(&data)?
            && let Some(known) = self.state.look()?.data
            && known.digest != data.digest
        {
            bail!(
                "this study is of the data {} ({}), and here is {} ({})\n\nhint: name the same data, or \
                 another `--state`",
                known.name,
                known.digest,
                data.name,
                data.digest
            );
        }
        Ok(())
    }

    /// Whether the training has come to a rung that stops it.
    fn judge(
        &self,
        work: &Work,
        folder: &Path,
        rungs: &mut BTreeMap<u32, Rung>,
    ) -> anyhow::Result<Option<Verdict>> {
        let values = self.values(folder)?;
        if let Some((&epoch, _)) = values.iter().find(|(_, value)| !value.is_finite()) {
            return Ok(Some(Verdict::Diverged { epoch }));
        }
        let Some(asha) = self.study.asha.as_ref().filter(|_| work.is_search) else {
            return Ok(None);
        };
        for &epoch in &asha.rungs {
            let Some(&value) = values.get(&epoch) else { break };
            if !rungs.contains_key(&epoch) {
                let seen = self.state.look()?;
                let rung = Rung {
                    value,
                    goes_on: asha.goes_on(self.cost(value), &self.others(&seen, work, epoch)),
                };
                self.state.rung(&work.trial, epoch, &rung)?;
                // Whoever was here first has decided.
                *rungs = self.state.look()?.trials.remove(&work.trial).unwrap_or_default().rungs;
            }
            if let Some(Rung { value, goes_on: false }) = rungs.get(&epoch) {
                return Ok(Some(Verdict::Stopped { epoch, value: *value }));
            }
        }
        Ok(None)
    }

    fn others(&self, seen: &Seen, work: &Work, epoch: u32) -> Vec<f64> {
        let others = seen.trials.iter().filter(|(name, _)| **name != work.trial);
        others.filter_map(|(_, trial)| Some(self.cost(trial.rungs.get(&epoch)?.value))).collect()
    }

    fn cost(&self, value: f64) -> f64 {
        self.study.written.objective.cost(value)
    }

    /// Of the objective, by epoch.
    fn values(&self, folder: &Path) -> anyhow::Result<BTreeMap<u32, f64>> {
        let metric = self.study.written.objective.metric();
        let points = run::points(folder).with_context(|| format!("`{}`", folder.display()))?;
        let ours = points.into_iter().filter(|point| point.key == metric);
        Ok(ours.map(|point| (point.step, point.value)).collect())
    }

    fn ended(
        &self,
        work: &Work,
        folder: Option<&Path>,
        verdict: Option<Verdict>,
        mistake: Option<String>,
    ) -> anyhow::Result<()> {
        let values = folder.map(|folder| self.values(folder)).transpose()?.unwrap_or_default();
        let last =
            values.last_key_value().map_or((0, None), |(epoch, value)| (*epoch, Some(*value)));
        let (how, (epoch, value), reason) = match (verdict, mistake) {
            (Some(Verdict::Stopped { epoch, value }), _) => {
                (How::Stopped, (epoch, Some(value)), None)
            }
            (Some(Verdict::Diverged { epoch }), _) => {
                (How::Failed, (epoch, None), Some("the objective is not a number".to_owned()))
            }
            (None, Some(mistake)) => (How::Failed, (last.0, None), Some(mistake)),
            (None, None) => (How::Finished, last, None),
        };
        let record = folder.map(Record::read).transpose()?;
        let seconds = record.as_ref().map_or(0.0, |record| {
            record.end_time.map_or(0.0, |end| (end - record.start_time) as f64 / 1e3)
        });
        let objective = self.study.written.objective;
        let shown = value.map_or_else(String::new, |value| {
            format!(": {} {}", objective.metric(), objective.shown(value))
        });
        let told = match how {
            How::Finished => format!("finished{shown}"),
            How::Stopped => format!("stopped after {}{shown}", numbered(epoch, "epoch")),
            How::Failed => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("failed: {}", reason.lines().next().unwrap_or_default())
            }
        };
        step(format_args!("trial {}: {told}", work.trial));
        let run_id = record.map(|record| record.run_id);
        let end = End { how, epoch, value, seconds, run_id, reason, at: now() };
        self.state.end(&work.trial, &end)?;
        self.told.ended(self.study, &self.state.look()?, folder)
    }
}

pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
