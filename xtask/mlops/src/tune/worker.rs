//! [`Team`]: threads that each take the next trial, train it and tell the state what became of it. A trial is its
//! worker's for as long as that one is heard of.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use contract::atomic;
use contract::digest::Digest;
use contract::run::{self, Entry, PARENT, Record};
use jiff::Timestamp;

use super::before::Before;
use super::others::Others;
use super::record::Told;
use super::space::changed;
use super::state::{Claim, End, Founded, How, Rung, Seen, State};
use super::study::Study;
use super::trainer::{DIVERGED, Trainer, Training};
use super::work::{Next, Work, next};
use super::{numbered, step};

/// Between looks at a training.
const LOOK: Duration = Duration::from_millis(100);
/// Between looks for something to do.
const PAUSE: Duration = Duration::from_millis(500);
/// A trainer that was killed so often has a recipe that this machine cannot train.
const DEATHS: usize = 3;
const TRIAL: &str = "study.trial";

pub(super) struct Team<'a> {
    pub(super) study: &'a Study,
    pub(super) state: &'a State,
    pub(super) founded: &'a Founded,
    pub(super) trainer: &'a Trainer,
    /// For recipes and what trainers say; no other study's.
    pub(super) folder: PathBuf,
    pub(super) others: Others,
    pub(super) told: Told<'a>,
    pub(super) stops: AtomicBool,
}

/// What became of a training at a rung.
enum Verdict {
    Stopped { epoch: u32, value: f64 },
    Diverged { epoch: u32 },
}

/// When we last said that we live.
struct Beat {
    count: u64,
    next: Instant,
}

/// Who goes before all is done, by an error or a panic, takes the others along.
struct Leaving<'a> {
    stops: &'a AtomicBool,
    is_done: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.stops.fetch_or(!self.is_done, Ordering::Relaxed);
    }
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
        let mut leaving = Leaving { stops: &self.stops, is_done: false };
        self.until_done()?;
        leaving.is_done = true;
        Ok(())
    }

    fn until_done(&self) -> anyhow::Result<()> {
        while !self.stops.load(Ordering::Relaxed) {
            let seen = self.state.look()?;
            match next(self.study, &seen, |name, trial| self.others.is_lost(name, trial)) {
                Next::Done => return Ok(()),
                Next::Wait(trials) => {
                    for other in self.others.not_yet_named(&trials, &seen) {
                        step(format_args!("waiting for {other}"));
                    }
                    sleep(PAUSE);
                }
                Next::Take(work) => {
                    let claim = Claim {
                        worker: self.others.me.clone(),
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

    fn train(&self, work: &Work, seen: &Seen) -> anyhow::Result<()> {
        let Work { trial, params, seed, .. } = work;
        let values: Vec<_> =
            params.iter().map(|(field, value)| format!("{field} {value}")).collect();
        let again = if work.turn > 0 { "again, " } else { "" };
        step(format_args!("trial {trial}: {again}seed {seed}, {}", values.join(", ")));
        let name = self.recipe_name(trial);
        let recipe = self.folder.join(format!("{name}.yaml"));
        let text = serde_yaml::to_string(&changed(&self.study.base, params))?;
        atomic::write_file(&recipe, text.as_bytes())?;
        if let Err(mistake) = self.trainer.recipes(&[recipe.display().to_string()]) {
            return self.ended(work, None, None, Some(mistake));
        }
        let tags = [Entry::new(PARENT, &self.founded.run_id), Entry::new(TRIAL, trial)];
        let mut rungs = seen.trials.get(trial).map(|trial| trial.rungs.clone()).unwrap_or_default();
        let (mut deaths, mut beat) = (0, Beat { count: 0, next: Instant::now() });
        loop {
            let Some(before) = self.before(work, &name, &mut beat)? else { return Ok(()) };
            if let Before::Finished(folder) = &before {
                let verdict = self.judge(work, folder, &mut rungs)?;
                return self.ended(work, Some(folder), verdict, None);
            }
            // Where there is nothing to go on with, nothing is looked for: a record that cannot be read is in no way.
            let goes_on = before == Before::Unfinished;
            let mut training = self.trainer.start(&recipe, *seed, &tags, goes_on)?;
            let ended = self.watch(work, &mut training, &mut rungs, &mut beat)?;
            let Some(status) = ended else { return Ok(()) };
            let folder = training.run();
            if status.success() {
                return self.ended(work, folder.as_deref(), None, None);
            }
            if status.code() == Some(DIVERGED) {
                return self.ended(work, folder.as_deref(), None, Some(training.complaint()));
            }
            if status.signal().is_none() {
                return training.demand_unasked(status).with_context(|| format!("trial {trial}"));
            }
            deaths += 1;
            if deaths == DEATHS {
                let reason =
                    format!("its trainer was killed {deaths} times ({status}); is memory short?");
                return self.ended(work, folder.as_deref(), None, Some(reason));
            }
            step(format_args!("trial {trial}: its trainer was killed ({status}); going on"));
        }
    }

    /// Of no other study, so that nobody goes on with another's training.
    fn recipe_name(&self, trial: &str) -> String {
        let study = Digest::of(self.founded.run_id.as_bytes()).hex();
        format!("{}-{}-{trial}", self.study.name, &study[..8])
    }

    /// Once nobody else is at it; None where the trial is not ours any more.
    fn before(&self, work: &Work, recipe: &str, beat: &mut Beat) -> anyhow::Result<Option<Before>> {
        while self.is_ours(work, beat)? {
            let (before, skipped) = Before::of(&self.trainer.runs, &self.founded.run_id, recipe)?;
            if before != Before::Held {
                skipped.iter().for_each(step);
                return Ok(Some(before));
            }
            sleep(LOOK);
        }
        Ok(None)
    }

    /// How the training ended by itself; None where a rung or a value ended the trial, or it is not ours any more.
    fn watch(
        &self,
        work: &Work,
        training: &mut Training,
        rungs: &mut BTreeMap<u32, Rung>,
        beat: &mut Beat,
    ) -> anyhow::Result<Option<ExitStatus>> {
        let mut data_is_known = false;
        while self.is_ours(work, beat)? {
            // Asked first: what it wrote before its end is read then.
            let status = training.ended()?;
            if let Some(folder) = training.run() {
                if !data_is_known {
                    self.is_of_the_same_data(&folder)?;
                    data_is_known = true;
                }
                if let Some(verdict) = self.judge(work, &folder, rungs)? {
                    training.stop()?;
                    self.ended(work, Some(&folder), Some(verdict), None)?;
                    return Ok(None);
                }
            }
            if status.is_some() {
                return Ok(status);
            }
            sleep(LOOK);
        }
        Ok(None)
    }

    /// Whether the trial is, and says four times in a lease that we live.
    fn is_ours(&self, work: &Work, beat: &mut Beat) -> anyhow::Result<bool> {
        if self.stops.load(Ordering::Relaxed) {
            return Ok(false);
        }
        if Instant::now() < beat.next {
            return Ok(true);
        }
        if self.was_taken_over(work)? {
            step(format_args!("trial {}: another worker has taken it over", work.trial));
            return Ok(false);
        }
        self.state.beat(&work.trial, work.turn, beat.count)?;
        *beat = Beat { count: beat.count + 1, next: Instant::now() + self.others.lease / 4 };
        Ok(true)
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
