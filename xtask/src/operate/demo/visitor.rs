//! [`Visitor`]: a client who keeps asking an environment for the same labelled pictures, each time on a
//! connection of its own, and remembers what came back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use contract::image::Image;
use contract::prediction::Label;
use serde_json::{Value, json};

pub(super) struct Visitor<'a> {
    url: String,
    pictures: &'a [(Label, Image)],
    /// Those that the first model got right: what another gets wrong of them, it gets wrong itself.
    known: OnceLock<Vec<&'a (Label, Image)>>,
    seen: Mutex<Seen>,
}

/// What came back since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Answers by version of the model.
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) wrong: u64,
    /// From the first wrong answer to the last.
    pub(super) wrong_for: Duration,
    pub(super) failures: Vec<String>,
    first_wrong: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) model_version: String,
    pub(super) is_right: bool,
}

const PAUSE: Duration = Duration::from_millis(50);

impl<'a> Visitor<'a> {
    pub(super) fn new(url: &str, pictures: &'a [(Label, Image)]) -> Self {
        Self {
            url: format!("{url}/v1/predict"),
            pictures,
            known: OnceLock::new(),
            seen: Mutex::default(),
        }
    }

    /// From now on what comes back counts: before, nothing is there to answer.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        let mut known = Vec::new();
        for picture in self.pictures {
            if self.ask(picture.0, &picture.1)?.is_right {
                known.push(picture);
            }
        }
        ensure!(!known.is_empty(), "the first model knows none of the probes");
        // Begun twice is begun.
        drop(self.known.set(known));
        Ok(())
    }

    pub(super) fn run(&self, stop: &AtomicBool) {
        let mut turn = 0;
        while !stop.load(Ordering::SeqCst) {
            if let Some(known) = self.known.get() {
                let (label, image) = known[turn % known.len()];
                turn += 1;
                let answer = self.ask(*label, image);
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).note(answer);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The answer to the first picture.
    pub(super) fn ask_once(&self) -> anyhow::Result<Answer> {
        let known = self.known.get().context("nobody has begun to ask")?;
        let (label, image) = known[0];
        self.ask(*label, image)
    }

    /// What was seen up to now, and a new page.
    pub(super) fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, label: Label, image: &Image) -> anyhow::Result<Answer> {
        // No pool: every question is a connection of its own.
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .into();
        let mut reply = agent.post(&self.url).send_json(json!({ "image": image.pixels() }))?;
        ensure!(reply.status().is_success(), "{}", reply.status());
        let body: Value = reply.body_mut().read_json()?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        Ok(Answer {
            name: text("name").context("an answer without a name")?,
            model_version: text("model_version").context("an answer without a model version")?,
            is_right: body["label"] == label,
        })
    }
}

impl Seen {
    /// Somebody was answered, everybody was, and rightly.
    pub(super) fn demand_undisturbed(&self, environment: &str) -> anyhow::Result<()> {
        ensure!(!self.answers.is_empty(), "{environment} answered nobody");
        ensure!(self.failures.is_empty(), "{environment} lost requests");
        ensure!(self.wrong == 0, "{environment} answered wrongly");
        Ok(())
    }

    fn note(&mut self, answer: anyhow::Result<Answer>) {
        match answer {
            Ok(answer) => {
                if !answer.is_right {
                    let first = *self.first_wrong.get_or_insert_with(Instant::now);
                    self.wrong += 1;
                    self.wrong_for = first.elapsed();
                }
                *self.answers.entry(answer.model_version).or_default() += 1;
            }
            Err(error) => self.failures.push(format!("{error:#}")),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_version: Vec<_> =
            self.answers.iter().map(|(version, count)| format!("{count} by {version}")).collect();
        write!(f, "{} answers ({})", self.answers.values().sum::<u64>(), by_version.join(", "))?;
        if self.wrong > 0 {
            write!(f, ", {} wrong within {:.1} s", self.wrong, self.wrong_for.as_secs_f64())?;
        }
        match self.failures.split_first() {
            None => f.write_str(", none lost"),
            Some((first, rest)) => write!(f, ", {} lost ({first})", rest.len() + 1),
        }
    }
}
