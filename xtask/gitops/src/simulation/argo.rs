//! A model of Argo CD as it was measured: auto-sync without retries, a failed revision is not tried
//! again, self-heal runs no hooks, a revert to what is live starts no sync, a manifest that cannot be
//! built fires an event of its own, a failure that is superseded while it runs may never be reported.

use jiff::Timestamp;

use super::Dice;
use crate::environment::Environment;
use crate::event::{Event, Observation, Proof};
use crate::object_id::{CommitId, ObjectId};
use crate::pin::Pinned;
use crate::verdict::Verdict;

/// What an overlay at some commit renders to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pin: Pinned,
    text: String,
    config: [Option<String>; 2],
}

/// The truth about a state, which only running it tells. It is written into tags and configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Good,
    AppWrong,
    ModelWrong,
    Crash,
    Flaky,
    Rejected,
    Unrenderable,
}

pub const IMAGES: [&str; 5] = ["good", "app", "model", "crash", "flaky"];
pub const CONFIGS: [&str; 6] = ["good", "app", "crash", "flaky", "rejected", "unrenderable"];

impl Truth {
    fn of(word: &str) -> Self {
        match word {
            "app" => Self::AppWrong,
            "model" => Self::ModelWrong,
            "crash" => Self::Crash,
            "flaky" => Self::Flaky,
            "rejected" => Self::Rejected,
            "unrenderable" => Self::Unrenderable,
            _ => Self::Good,
        }
    }
}

/// Files that a state is made of.
pub fn files(environment: &Environment) -> [String; 3] {
    let overlay = format!("{}/config.yaml", environment.overlay());
    [environment.pin_file(), "kustomize/base/config.yaml".to_owned(), overlay]
}

impl Rendered {
    pub fn new(files: Vec<Option<Vec<u8>>>) -> Self {
        let mut texts = files
            .into_iter()
            .map(|file| file.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        let text = texts.next().flatten();
        let pin = text
            .as_ref()
            .map_or(Pinned::Missing, |text| Pinned::read(ObjectId::new([0; 20]), text.as_bytes()));
        // A comment is not rendered, so a state is compared without.
        let plain = |text: String| {
            text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
        };
        let text = text.map(plain).unwrap_or_default();
        Self { pin, text, config: [texts.next().flatten(), texts.next().flatten()] }
    }

    fn truths(&self) -> Vec<Truth> {
        let word = |text: &str, key: &str| {
            let (_, rest) = text.split_once(key)?;
            Some(Truth::of(rest.split(|c: char| !c.is_ascii_lowercase()).next()?))
        };
        let pin = match &self.pin {
            Pinned::Missing => Truth::Unrenderable,
            _ if self.text.contains("<<<<") => Truth::Unrenderable,
            Pinned::Unreleased => Truth::Crash,
            _ => word(&self.text, "newTag: ").unwrap_or(Truth::Unrenderable),
        };
        let configs = self.config.iter().flatten();
        let configs = configs.filter_map(|text| word(text, "quality: "));
        std::iter::once(pin).chain(configs).collect()
    }

    fn is(&self, truth: Truth) -> bool {
        self.truths().contains(&truth)
    }
}

/// One Application.
#[derive(Debug, Default)]
pub struct Cluster {
    live: Option<Rendered>,
    /// All that was asked for is there and runs.
    healthy: bool,
    attempted: Option<CommitId>,
    running: Option<(CommitId, Rendered)>,
    unrenderable: Option<CommitId>,
}

impl Cluster {
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// A look at main: starts a sync where something differs and was not tried.
    pub fn poll(&mut self, head: CommitId, wanted: Rendered) -> Option<Observation> {
        if self.running.is_some() {
            return None;
        }
        if wanted.is(Truth::Unrenderable) {
            let seen = self.unrenderable.replace(head);
            return (seen != Some(head)).then_some(Observation::Unrenderable);
        }
        self.unrenderable = None;
        let is_there = self.live.as_ref() == Some(&wanted) && self.healthy;
        if !is_there && self.attempted != Some(head) {
            self.running = Some((head, wanted));
        }
        None
    }

    /// The sync ends; what is seen of it, and whether its smoke test passed.
    pub fn finish(&mut self, dice: &mut Dice) -> Option<(CommitId, Observation)> {
        let (revision, wanted) = self.running.take()?;
        self.attempted = Some(revision);
        let failed = |verdict| Some((revision, Observation::Failed(verdict)));
        if wanted.is(Truth::Rejected) {
            return failed(Verdict::RolloutFailed);
        }
        // A registry that is down for a moment looks like a crash loop.
        let crashes = wanted.is(Truth::Crash) || dice.percent(5);
        let app_wrong = wanted.is(Truth::AppWrong);
        let model_wrong = wanted.is(Truth::ModelWrong);
        let undecided = wanted.is(Truth::Flaky) && dice.percent(50);
        self.live = Some(wanted);
        self.healthy = !crashes;
        if crashes {
            failed(Verdict::RolloutFailed)
        } else if app_wrong {
            failed(Verdict::AppWrong)
        } else if model_wrong {
            failed(Verdict::ModelWrong)
        } else if undecided {
            failed(Verdict::Undecided)
        } else {
            Some((revision, Observation::Deployed(Proof::SmokePassed)))
        }
    }

    /// What the dead man's switch sees from outside: that this is live already, and at its deadline
    /// what a probe says.
    pub fn look(&self, head: CommitId, wanted: &Rendered) -> Vec<Observation> {
        let live = self.live.as_ref().filter(|live| *live == wanted && self.healthy);
        let Some(live) = live else { return vec![Observation::TimedOut(Verdict::Unknown)] };
        let verdict = if live.is(Truth::AppWrong) {
            Verdict::RolloutFailed
        } else if live.is(Truth::ModelWrong) {
            Verdict::ModelWrong
        } else {
            Verdict::Unknown
        };
        let no_operation = self.attempted != Some(head);
        let already_live = no_operation.then_some(Observation::Deployed(Proof::AlreadyLive));
        already_live.into_iter().chain([Observation::TimedOut(verdict)]).collect()
    }
}

pub fn event(
    environment: &Environment,
    revision: Option<CommitId>,
    observed_at: Timestamp,
    observation: Observation,
) -> Event {
    let evidence = vec![format!("{environment}: {observation:?}")];
    Event { environment: environment.clone(), revision, observed_at, observation, evidence }
}
