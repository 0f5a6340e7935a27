//! `smoke`: decides from outside whether a deployed service is fit, with labelled pictures that come
//! from Git and never from the model under test.
//!
//! Fit is: so many answers in a row, each on a connection of its own and all from the expected version
//! and model, with every probe among them and enough of those right. Anything else starts the row
//! again until the deadline, since a rollout takes a while; only a row whose labels are wrong decides
//! at once, since one model does not change its mind. At the deadline a service that answered wrongly
//! or is still another one is at fault ([`Verdict::AppWrong`]); where it could not be reached or was
//! shielded by a gateway, nothing is known ([`Verdict::Undecided`]).

pub mod client;
pub mod report;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::causes;
use contract::digest::Digest;
use contract::image::Image;
use contract::prediction::Label;
use contract::probes::Probes;

use self::client::{Client, Fault, Reply};
use self::report::{Report, Verdict, Wrong};
use crate::cli::{Exit, print, say};
use crate::config::duration;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the service is, such as <http://127.0.0.1:8000>
    url: String,
    /// Labelled pictures, as `cargo xtask probes` writes them
    #[arg(long, value_name = "FILE")]
    probes: PathBuf,
    /// Version of the service that must answer
    #[arg(long, value_name = "VERSION")]
    expect_app_version: Option<String>,
    /// Digest of the model that must answer
    #[arg(long, value_name = "DIGEST")]
    expect_model_digest: Option<Digest>,
    /// File with the API key of whoever asks, where callers need one
    #[arg(long, env = "SMOKE_API_KEY_FILE", value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// When to stop hoping
    #[arg(long, default_value = "120s", value_name = "TIME", value_parser = duration)]
    deadline: Duration,
    /// Answers in a row that count as stable
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    consecutive: usize,
}

/// After something went wrong, before the next try.
const PAUSE: Duration = Duration::from_millis(250);

pub fn run(args: &Args) -> Exit {
    let (probes, pictures, key) = match inputs(args) {
        Ok(inputs) => inputs,
        Err(error) => {
            say(causes::sentence(error.chain()));
            return Exit::Usage;
        }
    };
    let report = judge(args, &probes, &pictures, key.as_deref());
    let json = serde_json::to_string(&report).expect("a report has string keys");
    // The verdict is in the status, whoever reads the report.
    if let Err(error) = print(&json) {
        say(causes::sentence(error.chain()));
    }
    report.tell();
    report.verdict.exit()
}

type Inputs = (Probes, Vec<(Label, Image)>, Option<String>);

fn inputs(args: &Args) -> anyhow::Result<Inputs> {
    let json = fs_err::read(&args.probes)?;
    let (probes, pictures) =
        Probes::from_json(&json).with_context(|| format!("`{}`", args.probes.display()))?;
    let key = args.api_key_file.as_ref().map(fs_err::read_to_string).transpose()?;
    Ok((probes, pictures, key.map(|key| key.trim().to_owned())))
}

pub fn judge(
    args: &Args,
    probes: &Probes,
    pictures: &[(Label, Image)],
    key: Option<&str>,
) -> Report {
    let client = Client::new(&args.url, probes.classes.len(), key);
    let started = Instant::now();
    let enough = args.consecutive.max(pictures.len());
    let mut recent = Recent::new(args.consecutive);
    let mut row: Vec<Reply> = Vec::new();
    let mut attempts = 0;
    while row.len() < enough && started.elapsed() < args.deadline {
        attempts += 1;
        let (_, picture) = &pictures[row.len() % pictures.len()];
        let answer = client.ask(picture).and_then(|reply| args.expected(reply, row.first()));
        recent.push(answer.as_ref().err().cloned());
        match answer {
            Ok(reply) => row.push(reply),
            Err(_fault) => {
                row.clear();
                std::thread::sleep(PAUSE.min(args.deadline.saturating_sub(started.elapsed())));
            }
        }
    }
    let wrong = wrong_answers(probes, pictures, &row);
    let asked = row.len().min(pictures.len());
    let right = (asked - wrong.len()) as f64 / pictures.len() as f64;
    let verdict = match row.len() < enough {
        true if recent.blames_the_service() => Verdict::AppWrong,
        true => Verdict::Undecided,
        false if right >= probes.threshold => Verdict::Ok,
        false => Verdict::ModelWrong,
    };
    Report {
        url: args.url.clone(),
        verdict,
        probes: pictures.len(),
        accuracy: (row.len() >= enough).then_some(right),
        threshold: probes.threshold,
        wrong,
        consecutive: row.len(),
        attempts,
        answered_by: row.into_iter().next_back().map(|reply| reply.identity),
        fault: recent.last_fault(),
        seconds: started.elapsed().as_secs_f64(),
    }
}

impl Args {
    /// The reply if it comes from whom it should: as told, and from the one who began the row.
    fn expected(&self, reply: Reply, first: Option<&Reply>) -> Result<Reply, Fault> {
        let found = &reply.identity;
        if let Some(expected) = &self.expect_app_version
            && found.app_version != *expected
        {
            return Err(Fault::Service(format!(
                "version {} answers, {expected} is expected",
                found.app_version
            )));
        }
        if let Some(expected) = &self.expect_model_digest
            && found.model_digest != *expected
        {
            return Err(Fault::Service(format!(
                "model {} answers, {expected} is expected",
                found.model_digest
            )));
        }
        match first {
            Some(first) if first.identity != *found => Err(Fault::Service(format!(
                "{} answered, then {}",
                first.identity.model_digest, found.model_digest
            ))),
            _ => Ok(reply),
        }
    }
}

/// Each probe is judged by its first answer; label and name must both be right, since a model of
/// another task may use the same numbers.
fn wrong_answers(probes: &Probes, pictures: &[(Label, Image)], row: &[Reply]) -> Vec<Wrong> {
    pictures
        .iter()
        .zip(row)
        .enumerate()
        .filter(|(_, ((label, _), reply))| {
            reply.label != *label || reply.name != probes.classes[*label]
        })
        .map(|(probe, ((label, _), reply))| Wrong {
            probe,
            expected: probes.classes[*label].clone(),
            found: reply.name.clone(),
        })
        .collect()
}

/// What came of the latest attempts.
struct Recent {
    attempts: VecDeque<Option<Fault>>,
    most: usize,
}

impl Recent {
    fn new(most: usize) -> Self {
        Self { attempts: VecDeque::new(), most: most.max(1) }
    }

    fn push(&mut self, fault: Option<Fault>) {
        if self.attempts.len() == self.most {
            self.attempts.pop_front();
        }
        self.attempts.push_back(fault);
    }

    fn blames_the_service(&self) -> bool {
        self.attempts.iter().flatten().any(|fault| matches!(fault, Fault::Service(_)))
    }

    fn last_fault(&self) -> Option<String> {
        self.attempts.iter().flatten().next_back().map(ToString::to_string)
    }
}
