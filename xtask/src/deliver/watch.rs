//! `watch`: the dead man's switch. Argo CD cannot report what it never notices: a bad release that was
//! superseded before its report was sent, hooks that never ran, a controller that stands still. Whoever
//! waits for a verdict and gets none until a deadline reports that, down the path of every report.
//!
//! It holds no state, so being killed and being started twice are harmless.

use std::time::{Duration, Instant};

use anyhow::Context;
use gitops::change::Change;
use gitops::event::{Event, Observation};
use gitops::history::{History, Standing};
use gitops::object_id::CommitId;
use gitops::verdict::Verdict;
use jiff::{SignedDuration, Timestamp};

use crate::deliver::ending::{self, Stop, end};
use crate::deliver::image::smoke_arguments;
use crate::deliver::remote::{Publication, environment};
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{data, step};
use crate::tools::cargo;

/// Wait until the newest change of an environment has its verdict, and report it when there is none
///
/// A change that supersedes another is waited for instead. The deadline counts from the change's commit;
/// with --url a smoke test from outside then says what is wrong, and without one a human has to look.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Name of an environment
    environment: String,
    /// How long a verdict may take
    #[arg(long, default_value = "20m", value_name = "TIME", value_parser = duration)]
    deadline: Duration,
    /// Between two looks at main
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    poll: Duration,
    /// Where the environment answers, to be tested at the deadline
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    publication: Publication,
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let duration: SignedDuration = text.parse()?;
    let duration = Duration::try_from(duration).context("it is negative")?;
    anyhow::ensure!(!duration.is_zero(), "it is no time at all");
    Ok(duration)
}

/// The change that is waited for.
struct Waiting {
    change: CommitId,
    since: Instant,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.watch(repo))
    }

    fn watch(&self, repo: &Repo) -> Result<(), Stop> {
        let mut waiting: Option<Waiting> = None;
        // Of main, which may be away for a while.
        let mut unanswered: Option<Instant> = None;
        loop {
            let snapshot = match self.publication.remote.snapshot(repo) {
                Ok(snapshot) => snapshot,
                // What never answered is no main, and waiting would hide a typo.
                Err(error) if waiting.is_none() => return Err(error.into()),
                Err(error) => {
                    let since = *unanswered.get_or_insert_with(|| {
                        step(format_args!("main does not answer, trying on: {error:#}"));
                        Instant::now()
                    });
                    if since.elapsed() >= self.deadline {
                        return Err(error.into());
                    }
                    std::thread::sleep(self.poll);
                    continue;
                }
            };
            unanswered = None;
            let history = snapshot.history(&environment(&snapshot, &self.environment)?);
            let change = match history.standing() {
                Standing::Unreleased => {
                    data(format_args!("{}: nothing was released yet", self.environment));
                    return Ok(());
                }
                Standing::Verified(change) => {
                    let pinned = history.pinned(change);
                    let (name, commit) = (&self.environment, change.commit.short());
                    data(format_args!("{name}: {pinned} is verified ({commit})"));
                    return Ok(());
                }
                Standing::Waiting(change) => change,
            };
            if waiting.as_ref().is_none_or(|waiting| waiting.change != change.commit) {
                let (name, commit) = (&self.environment, change.commit.short());
                step(format_args!("{name}: waiting for a verdict on {commit} {}", change.title));
                waiting = Some(Waiting { change: change.commit, since: Instant::now() });
            }
            let waited = waiting.as_ref().map_or(Duration::ZERO, |waiting| waiting.since.elapsed());
            if self.is_due(change, waited) {
                return self.report(repo, &history, change);
            }
            std::thread::sleep(self.poll.min(self.deadline));
        }
    }

    /// Clocks differ, so a commit may come from the future or from long ago: at least one more look is
    /// taken, and nobody waits for longer than the deadline.
    fn is_due(&self, change: &Change, waited: Duration) -> bool {
        let age = Timestamp::now().duration_since(change.committed_at);
        let age = Duration::try_from(age).unwrap_or_default();
        waited >= self.deadline || (age >= self.deadline && waited >= self.poll.min(self.deadline))
    }

    fn report(&self, repo: &Repo, history: &History, change: &Change) -> Result<(), Stop> {
        let (verdict, said) = self.probe(repo, history, change)?;
        let mut evidence =
            vec![format!("no verdict on {} within {:?}", change.commit, self.deadline)];
        evidence.extend(said);
        let event = Event {
            environment: history.environment().clone(),
            revision: Some(change.commit),
            observed_at: Timestamp::now(),
            observation: Observation::TimedOut(verdict),
            evidence,
        };
        self.publication.receive(repo, event.to_json().as_bytes())
    }

    /// What a smoke test from outside says, where one can be made.
    fn probe(
        &self,
        repo: &Repo,
        history: &History,
        change: &Change,
    ) -> anyhow::Result<(Verdict, Option<String>)> {
        let pinned = history.pinned(change);
        let (Some(url), Some(pin)) = (&self.url, pinned.pin()) else {
            return Ok((Verdict::Unknown, None));
        };
        step(format_args!("testing {url} from outside"));
        let program = cargo::build(repo, "app", "mnist-api")?;
        let (version, digest) = (pin.app_version.as_str(), pin.model_digest.to_string());
        let probes = repo.probes().display().to_string();
        let args = smoke_arguments(url, &probes, "60s", version, &digest);
        let ended = Cmd::new(program, repo.root()).args(args).end()?;
        let said = ended.stderr.trim().to_owned();
        step(&said);
        // A service that is fit explains nothing: why is there no verdict?
        let verdict = match Verdict::of_exit_code(ended.code.unwrap_or_default().into()) {
            // From outside, the old version that still answers looks the same as a new one that is wrong:
            // that condemns no image.
            Verdict::AppWrong => Verdict::RolloutFailed,
            verdict => verdict,
        };
        Ok((verdict, Some(said)))
    }
}
