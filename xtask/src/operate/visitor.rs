//! [`Visitor`]: a client who keeps asking a service for the same labelled pictures and remembers what came
//! back. Nothing is asked twice because it failed: a lost request is counted, not repaired.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use contract::image::Image;
use contract::prediction::Label;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) struct Visitor<'a> {
    url: String,
    pictures: &'a [(Label, Image)],
    /// Those that the first model got right: what another gets wrong of them, it gets wrong itself.
    known: OnceLock<Vec<&'a (Label, Image)>>,
    turn: AtomicU64,
    seen: Mutex<Seen>,
}

/// What came back within some time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// Answers by version of the model.
    pub(crate) answers: BTreeMap<String, u64>,
    /// Those among them that were wrong.
    pub(crate) wrong: u64,
    pub(crate) first_wrong: Option<Timestamp>,
    pub(crate) last_wrong: Option<Timestamp>,
    /// Requests without an answer: refused, reset, too late, or answered with another status than 2xx.
    pub(crate) lost: u64,
    /// What became of the first of those.
    pub(crate) losses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) model_version: String,
    pub(crate) confidence: f64,
    pub(crate) is_right: bool,
}

/// How a client treats its connections: both ways lose requests, each in its own moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// One per request.
    Fresh,
    /// Kept as long as the server keeps it.
    Kept,
}

/// So many losses are told in words.
const LOSSES_TOLD: usize = 5;
const TIME_LIMIT: Duration = Duration::from_secs(5);

impl Connections {
    fn agent(self) -> ureq::Agent {
        let kept = usize::from(self == Self::Kept);
        ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_idle_connections(kept)
            .timeout_global(Some(TIME_LIMIT))
            .build()
            .into()
    }
}

impl<'a> Visitor<'a> {
    /// `url` is the service's, without a path.
    pub(crate) fn new(url: &str, pictures: &'a [(Label, Image)]) -> Self {
        Self {
            url: format!("{}/v1/predict", url.trim_end_matches('/')),
            pictures,
            known: OnceLock::new(),
            turn: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    /// From now on what comes back counts: before, nothing is there to answer.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        let answers = self.ask_all()?;
        let right = self.pictures.iter().zip(answers).filter(|(_, answer)| answer.is_right);
        let known: Vec<_> = right.map(|(picture, _)| picture).collect();
        ensure!(!known.is_empty(), "the first model knows none of the probes");
        // Begun twice is begun.
        drop(self.known.set(known));
        Ok(())
    }

    /// One request after the other, with a pause between them, until told to stop.
    pub(crate) fn run(&self, connections: Connections, pause: Duration, stop: &AtomicBool) {
        let agent = connections.agent();
        while !stop.load(Ordering::SeqCst) {
            if let Some(known) = self.known.get() {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                // The remainder is less than a length.
                let picture = known[usize::try_from(turn).unwrap_or_default() % known.len()];
                let answer = self.ask(&agent, picture);
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).note(answer);
            }
            std::thread::sleep(pause);
        }
    }

    /// The answer to the first picture.
    pub(crate) fn ask_once(&self) -> anyhow::Result<Answer> {
        let known = self.known.get().context("nobody has begun to ask")?;
        self.ask(&Connections::Fresh.agent(), known[0])
    }

    /// The answers to all pictures, in their order.
    pub(crate) fn ask_all(&self) -> anyhow::Result<Vec<Answer>> {
        let agent = Connections::Fresh.agent();
        self.pictures.iter().map(|picture| self.ask(&agent, picture)).collect()
    }

    /// What was seen up to now, and a new page.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, agent: &ureq::Agent, picture: &(Label, Image)) -> anyhow::Result<Answer> {
        let (label, image) = picture;
        let mut reply = agent.post(&self.url).send_json(json!({ "image": image.pixels() }))?;
        ensure!(reply.status().is_success(), "{}", reply.status());
        let body: Value = reply.body_mut().read_json()?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        Ok(Answer {
            name: text("name").context("an answer without a name")?,
            model_version: text("model_version").context("an answer without a model version")?,
            confidence: body["confidence"].as_f64().context("an answer without a confidence")?,
            is_right: body["label"] == *label,
        })
    }
}

impl Seen {
    /// Somebody was answered, everybody was, and rightly.
    pub(crate) fn demand_undisturbed(&self, environment: &str) -> anyhow::Result<()> {
        ensure!(!self.answers.is_empty(), "{environment} answered nobody");
        ensure!(self.lost == 0, "{environment} lost requests");
        ensure!(self.wrong == 0, "{environment} answered wrongly");
        Ok(())
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// From the first wrong answer to the last.
    pub(crate) fn wrong_for(&self) -> Duration {
        let ends = self.first_wrong.zip(self.last_wrong);
        ends.and_then(|(first, last)| last.duration_since(first).try_into().ok())
            .unwrap_or_default()
    }

    /// What was seen after it, or by another.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (version, count) in other.answers {
            *self.answers.entry(version).or_default() += count;
        }
        self.wrong += other.wrong;
        self.first_wrong = [self.first_wrong, other.first_wrong].into_iter().flatten().min();
        self.last_wrong = self.last_wrong.max(other.last_wrong);
        self.lost += other.lost;
        self.losses.extend(other.losses);
        self.losses.truncate(LOSSES_TOLD);
    }

    fn note(&mut self, answer: anyhow::Result<Answer>) {
        match answer {
            Ok(answer) => {
                if !answer.is_right {
                    let now = Timestamp::now();
                    self.wrong += 1;
                    self.first_wrong.get_or_insert(now);
                    self.last_wrong = Some(now);
                }
                *self.answers.entry(answer.model_version).or_default() += 1;
            }
            Err(error) => {
                self.lost += 1;
                if self.losses.len() < LOSSES_TOLD {
                    self.losses.push(format!("{error:#}"));
                }
            }
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_version: Vec<_> =
            self.answers.iter().map(|(version, count)| format!("{count} by {version}")).collect();
        write!(f, "{} answers ({})", self.answered(), by_version.join(", "))?;
        if self.wrong > 0 {
            write!(f, ", {} wrong within {:.1} s", self.wrong, self.wrong_for().as_secs_f64())?;
        }
        match self.losses.first() {
            None => f.write_str(", none lost"),
            Some(first) => write!(f, ", {} lost ({first})", self.lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_in_two_stretches_adds_up() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let stretch = |wrong, first, lost: u64| Seen {
            answers: [("a".to_owned(), 3)].into(),
            wrong,
            first_wrong: first,
            last_wrong: first,
            lost,
            losses: vec!["reset".to_owned(); usize::try_from(lost).unwrap()],
        };
        let mut seen = Seen::default();
        for (wrong, first, lost) in [(0, None, 0), (1, at(10), 4), (1, at(14), 4), (0, None, 0)] {
            seen.absorb(stretch(wrong, first, lost));
        }
        assert_eq!((seen.answered(), seen.wrong, seen.lost, seen.losses.len()), (12, 2, 8, 5));
        assert_eq!(seen.wrong_for(), Duration::from_secs(4));
        assert_eq!(seen.to_string(), "12 answers (12 by a), 2 wrong within 4.0 s, 8 lost (reset)");
    }
}
