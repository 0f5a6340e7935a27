//! `tune`: a better recipe, looked for. The state of a study is a folder or a place in an object store; whoever has it
//! goes on with it, be the ones before killed or at work. Only validation images judge: no trial is given the test set,
//! and what is found is trained like any other recipe.

mod asha;
mod before;
mod importance;
mod others;
mod pictures;
mod record;
mod report;
mod sampler;
mod space;
mod state;
mod study;
mod trainer;
mod verdict;
mod work;
mod worker;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Write as _, stderr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, available_parallelism, spawn};
use std::time::Duration;

use anyhow::Context;
use fs_err as fs;
use jiff::Timestamp;

use self::others::Others;
use self::record::Told;
use self::state::{Founded, SCHEMA, State, Worker};
use self::study::Study;
use self::trainer::Trainer;
use self::worker::{Team, now};
use crate::data::hinted;
use crate::runs::Folder;
use crate::told::tell;
use crate::track;

/// Look for a better recipe, by validation images alone, and say whether it is one
///
/// What it prints is the best recipe's file, for `train --recipe`; `report.md` lies beside it. Killed or interrupted,
/// the same command goes on. Several may work at one study, on many machines too: they share `--state`, and nothing
/// else.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The study's YAML file
    study: PathBuf,
    /// Folder or URL (s3://, gs://, azure://) of what is known [default: `state` in the study's folder]
    #[arg(long, value_name = "DIR|URL")]
    state: Option<String>,
    /// Trials at once, here
    #[arg(long, default_value = "1", value_name = "N")]
    jobs: NonZeroUsize,
    /// Threads of each [default: all cores, shared among `--jobs`]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Seconds after which a worker that is not heard of is taken for gone
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
    /// Folder of studies, by name
    #[arg(
        long,
        value_name = "DIR",
        default_value = "studies",
        env = "MLOPS_STUDIES",
        hide_env = true
    )]
    studies: PathBuf,
    #[command(flatten)]
    runs: Folder,
    /// The program that trains
    #[arg(long, value_name = "PROGRAM")]
    trainer: PathBuf,
    /// What is classified
    #[arg(long, value_name = "FILE")]
    task: PathBuf,
    #[command(flatten)]
    tracking: track::BesideArgs,
    /// What the program is told besides: `--data-dir DIR`, `--synthetic`, `--device`
    #[arg(last = true, value_name = "ARG")]
    training: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let tracking = self.tracking.tracking()?;
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let share = (cores / self.jobs.get()).max(1);
        let trainer = Trainer {
            program: self.trainer,
            task: self.task,
            runs: self.runs.path().clone(),
            threads: self.threads.map_or(share, NonZeroUsize::get),
            args: self.training,
        };
        let stem = self.study.file_stem().context("a study is a file")?;
        let folder = self.studies.join(stem);
        fs::create_dir_all(&folder)?;
        let place = self.state.unwrap_or_else(|| folder.join("state").display().to_string());
        let state = State::open(&place)?;
        // Where it does not answer, no trainer need be asked for recipes.
        state.look()?;
        let study = Study::read(&self.study, &trainer, &folder)?;
        let founded = found(&study, &state, &place)?;
        // Another state's study may have the same name.
        let folder = folder.join(&founded.run_id);
        fs::create_dir_all(folder.join("trials"))?;
        let (to, from) = channel();
        let tracks = tracking.map(|tracking| spawn(move || tracking.send_all(&from)));
        let team = Team {
            study: &study,
            state: &state,
            founded: &founded,
            trainer: &trainer,
            folder: folder.join("trials"),
            others: Others::new(me(), Duration::from_secs(self.lease)),
            told: Told {
                founded: &founded,
                runs: trainer.runs.clone(),
                lock: None.into(),
                tracking: tracks.is_some().then_some(to),
            },
            stops: false.into(),
        };
        let worked = team.work(self.jobs.get());
        let worked = worked.and_then(|()| team.told.finished(&study, &state.look()?));
        drop(team);
        // Nobody waits for what was found because a server is slow.
        let ended = worked.and_then(|()| conclude(&study, &state, &folder));
        await_the_rest(tracks)?;
        ended
    }
}

fn await_the_rest(tracks: Option<JoinHandle<()>>) -> anyhow::Result<()> {
    let Some(tracks) = tracks else { return Ok(()) };
    if !tracks.is_finished() {
        step("waiting for MLflow to take the rest; `cargo xtask track` sends it, too");
    }
    tracks.join().map_err(|_panic| {
        anyhow::anyhow!("the thread that speaks to MLflow panicked; its message is above")
    })
}

fn conclude(study: &Study, state: &State, folder: &Path) -> anyhow::Result<()> {
    let seen = state.look()?;
    let best = report::write(study, &seen, folder)?;
    step(report::sentence(study, &seen));
    step(format_args!("report: {}", folder.join(report::REPORT).display()));
    let Some(best) = best else {
        return Err(hinted(
            "no trial came to its end, so there is no recipe",
            "the report says why each failed; look for smaller values",
        ));
    };
    tell(best.display())
}

/// What all that work at it begin with, be it made now or before.
fn found(study: &Study, state: &State, place: &str) -> anyhow::Result<Founded> {
    let at = Timestamp::now();
    let ours = Founded {
        schema: SCHEMA,
        run_id: format!("{}-study-{}", at.strftime("%Y%m%dT%H%M%S%3fZ"), study.name),
        at: at.as_millisecond(),
        study: study.written.clone(),
        base: study.base.clone(),
    };
    if state.found(&ours)? {
        return Ok(ours);
    }
    let known = state.look()?.founded.context("the state is there, and is of no study")?;
    let mut differ = study.written.differs(&known.study);
    if differ.is_empty() && known.base != study.base {
        differ.push("the recipe that `base` names".to_owned());
    }
    if known.schema != SCHEMA || !differ.is_empty() {
        return Err(hinted(
            format_args!("the state at `{place}` is of another study: {}", differ.join(", ")),
            "name another `--state`; a study goes on with more `trials`, and otherwise as it began",
        ));
    }
    Ok(known)
}

fn me() -> Worker {
    // Pods of a node have one kernel, and machines may have one name. Where neither is told, nobody shares ours, so
    // nobody asks for our process.
    let told = |file| fs::read_to_string(format!("/proc/sys/kernel/{file}")).unwrap_or_default();
    let host = format!("{} {}", told("hostname").trim(), told("random/boot_id").trim());
    Worker { host: host.trim().to_owned(), pid: std::process::id(), since: now() }
}

/// Whoever closed stderr does not read it.
fn step(what: impl Display) {
    drop(writeln!(stderr(), "{what}"));
}

fn numbered(number: impl Display, thing: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
