//! [`Trainer`]: the program that trains, and trainings in processes of their own. They stop by themselves when we
//! are killed: each has an end of a pipe as its stdin, and we have the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus, Stdio};

use anyhow::{Context, bail};
use contract::run::Entry;
use fs_err::{self as fs, File};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What `model` ends with when the recipe is at fault.
pub(super) const DIVERGED: i32 = 3;
/// What it ends with when it was told to stop.
pub(super) const INTERRUPTED: i32 = 130;

#[derive(Debug)]
pub(super) struct Trainer {
    pub(super) program: PathBuf,
    pub(super) task: PathBuf,
    /// Folder of run records.
    pub(super) runs: PathBuf,
    pub(super) threads: usize,
    /// Of every training: where the data is, and the like.
    pub(super) args: Vec<OsString>,
}

/// A training that goes on for no longer than this value.
pub(super) struct Training {
    child: Child,
    said: PathBuf,
    log: PathBuf,
}

impl Trainer {
    /// What recipes say, with every default spelled out. `Err` says all that is wrong about them.
    pub(super) fn recipes(&self, names: &[String]) -> Result<Vec<Value>, String> {
        let mut command = started(&self.program);
        command.arg("recipe").arg("--task").arg(&self.task).args(names);
        let cannot = |error| format!("`{}` cannot be started: {error}", self.program.display());
        let output = command.stdin(Stdio::null()).output().map_err(cannot)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(said.trim().trim_start_matches("error: ").to_owned());
        }
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| error.to_string())).collect()
    }

    /// Goes on with the training of this recipe and seed, if told to and there is one, or starts one. What it says goes
    /// to files beside the recipe.
    pub(super) fn start(
        &self,
        recipe: &Path,
        seed: u64,
        tags: &[Entry],
        goes_on: bool,
    ) -> anyhow::Result<Training> {
        let (said, log) = (recipe.with_extension("out"), recipe.with_extension("log"));
        let mut command = started(&self.program);
        command.args(["train", "--trial", "--task"]).arg(&self.task);
        command.args(goes_on.then_some("--resume"));
        command.arg("--recipe").arg(recipe).args(["--seed", &seed.to_string()]);
        command.arg("--runs").arg(&self.runs).args(["--threads", &self.threads.to_string()]);
        for Entry { key, value } in tags {
            command.args(["--tag", &format!("{key}={value}")]);
        }
        let (out, errors) =
            (File::create(&said)?, fs::File::options().create(true).append(true).open(&log)?);
        let child = command
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(out.into_parts().0)
            .stderr(errors.into_parts().0)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", self.program.display()))?;
        Ok(Training { child, said, log })
    }
}

#[expect(clippy::disallowed_methods, reason = "this module owns the trainer's processes")]
fn started(program: &Path) -> process::Command {
    process::Command::new(program)
}

impl Training {
    /// Of its record, once there is one.
    pub(super) fn run(&self) -> Option<PathBuf> {
        let said = fs::read_to_string(&self.said).ok()?;
        said.split_once('\n').map(|(folder, _)| PathBuf::from(folder))
    }

    pub(super) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for the trainer")
    }

    /// Asks it to stop, unless it has, and waits until it has.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        // Once its end was asked for, its number may be another's.
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .context("telling the trainer to stop")?;
        // Waiting would close it, which asks once more, and who is asked twice does not stop in order.
        let stdin = self.child.stdin.take();
        let stopped = self.child.wait().map(drop).context("waiting for the trainer");
        drop(stdin);
        stopped
    }

    /// The last that it said on stderr.
    pub(super) fn complaint(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let complaint = log.rsplit_once("error: ").map_or("", |(_, complaint)| complaint);
        complaint.trim().to_owned()
    }

    pub(super) fn demand_unasked(&self, status: ExitStatus) -> anyhow::Result<()> {
        if status.code() == Some(INTERRUPTED) {
            bail!("a training was interrupted\n\nhint: the same command goes on with the study");
        }
        bail!("a training ended with {status}: {}", self.complaint())
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // A child that was killed is also waited for, so none is left as a zombie.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
