//! [`Fault`]: what breaks while something is released, told in a file, and what has to come of it all the same:
//! a good release ends verified, a wrong one is reverted once, and main is still afterwards.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use contract::artifact::Artifact;
use gitops::verdict::Verdict;
use serde::Deserialize;

use super::performance::{Performance, pause};
use crate::operate::rehearsal::script::STAGING;
use crate::operate::visitor::Seen;
use crate::process::Cmd;
use crate::report::{WithHint, data};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Fault {
    #[serde(rename = "fault")]
    title: String,
    /// What is on its way meanwhile.
    release: Release,
    when: Moment,
    /// For `sh`, in the checkout's folder. `DEMO` is the name that everything of the demo begins with.
    r#break: String,
    /// Whether callers may be without an answer meanwhile.
    #[serde(default)]
    loses: bool,
    /// So long it stays broken, in seconds.
    #[serde(default)]
    lasts: u64,
    /// For `sh` again. Nothing where it mends itself.
    #[serde(default)]
    mend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Release {
    Nothing,
    Good,
    /// Healthy, and it answers wrongly.
    Wrong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Moment {
    /// At once, before Argo CD has seen it.
    AfterThePush,
    /// Argo CD syncs the commit that pins it.
    InTheSync,
}

pub(super) struct Faults {
    list: Vec<Fault>,
    /// Commands run here.
    dir: PathBuf,
}

/// What came of one, in the order of the file.
struct Outcome<'a> {
    fault: &'a Fault,
    seconds: f64,
    seen: Seen,
}

/// What would be done a second time is done within this time: a report is delivered within a second, and tried
/// again for seven.
const STILLNESS: Duration = Duration::from_secs(12);

impl Faults {
    pub(super) fn read(file: &Path, dir: &Path) -> anyhow::Result<Self> {
        let list = fs_err::read_to_string(file).map_err(anyhow::Error::from);
        let list: anyhow::Result<Vec<Fault>> =
            list.and_then(|text| serde_yaml::from_str(&text).context("it is no list of faults"));
        let list = list.with_context(|| file.display().to_string());
        let list = list.hint("tests/cluster/faults.yaml shows the form")?;
        Ok(Self { list, dir: dir.to_owned() })
    }

    fn sh(&self, script: &str, name: &str) -> anyhow::Result<()> {
        if script.is_empty() {
            return Ok(());
        }
        let command = Cmd::new("sh", &self.dir).args(["-euc", script]).env("DEMO", name);
        command.run().with_context(|| format!("a command of the file with faults: {script}"))
    }
}

impl Performance<'_> {
    pub(super) fn play_faults(&self, faults: &Faults) -> anyhow::Result<()> {
        let good = self.a_good_release_goes_live_under_load()?;
        let ignorant = self.script.workshop.ignorant()?;
        let mut outcomes = Vec::new();
        for (number, fault) in faults.list.iter().enumerate() {
            self.act(&fault.title);
            let artifact = match fault.release {
                Release::Wrong => &ignorant,
                Release::Good | Release::Nothing => &good,
            };
            outcomes.push(self.play_fault(faults, fault, &format!("fault-{number}"), artifact)?);
        }
        self.script.transcript.act("What came of each fault");
        data("| fault | meanwhile | what came of it | seconds | lost |\n|---|---|---|---|---|");
        for outcome in &outcomes {
            data(outcome);
        }
        self.epilogue()
    }

    fn play_fault<'a>(
        &self,
        faults: &Faults,
        fault: &'a Fault,
        name: &str,
        artifact: &Artifact,
    ) -> anyhow::Result<Outcome<'a>> {
        let demo = self.company_name();
        let pin = match fault.release {
            Release::Nothing => None,
            Release::Good | Release::Wrong => Some(self.script.image(artifact, name)?),
        };
        if let Some(pin) = &pin {
            self.script.publish(pin)?;
        }
        let before = self.script.history(STAGING)?;
        let began = Instant::now();
        if fault.when == Moment::InTheSync {
            self.await_phase(STAGING, "Running")?;
        }
        self.strike(faults, fault)?;
        faults.sh(&fault.mend, demo)?;
        if fault.release == Release::Wrong {
            self.await_rollback_of(&before, Verdict::ModelWrong)?;
        }
        let after = self.await_verified(STAGING, "what was to be expected came of it")?;
        let seconds = began.elapsed().as_secs_f64();
        let pinned = |history: &gitops::history::History| history.head().map(|head| head.commit);
        if fault.release != Release::Wrong {
            ensure!(pinned(&after) == pinned(&before), "something was pinned meanwhile");
        }
        pause(STILLNESS)?;
        let later = self.script.history(STAGING)?;
        ensure!(pinned(&later) == pinned(&after), "something was pinned after it was over");
        ensure!(later.tip() == after.tip(), "main did not come to rest");
        let seen = self.seen(STAGING)?;
        ensure!(fault.loses || seen.lost == 0, "requests were lost");
        Ok(Outcome { fault, seconds, seen })
    }

    fn strike(&self, faults: &Faults, fault: &Fault) -> anyhow::Result<()> {
        self.say("it breaks");
        faults.sh(&fault.r#break, self.company_name())?;
        pause(Duration::from_secs(fault.lasts))?;
        if fault.lasts > 0 {
            self.say(format_args!("it was broken for {} s", fault.lasts));
        }
        Ok(())
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, seconds, seen } = self;
        let (meanwhile, came) = match fault.release {
            Release::Nothing => ("nothing", "main as it was"),
            Release::Good => ("a good release", "verified"),
            Release::Wrong => ("a wrong model", "reverted once, the old version verified"),
        };
        let lost = format!("{} of {}", seen.lost, seen.lost + seen.answered());
        write!(f, "| {} | {meanwhile} | {came} | {seconds:.1} | {lost} |", fault.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn the_shipped_files_of_faults_can_be_read() {
        let repo = Repo::here();
        for file in ["tests/cluster/faults.yaml", "tests/cluster/lab.yaml"] {
            let faults = Faults::read(&repo.path(file), repo.root()).unwrap();
            assert!(!faults.list.is_empty(), "{file}");
        }
    }
}
