//! The JSON of an event, as the templates of `argocd/install/argocd-notifications-cm.yaml` render it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, InvalidEvent, Observation, Proof, SCHEMA};
use crate::environment::{Environment, Environments};
use crate::object_id::CommitId;
use crate::verdict::Verdict;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "event_type", content = "client_payload")]
pub(super) enum Envelope {
    #[serde(rename = "argocd-release-failed")]
    Failed(Failed),
    #[serde(rename = "argocd-release-deployed")]
    Deployed(Deployed),
    #[serde(rename = "argocd-release-unrenderable")]
    Unrenderable(Unrenderable),
    /// From our own dead man's switch.
    #[serde(rename = "release-timed-out")]
    TimedOut(TimedOut),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failed {
    schema: u64,
    app: String,
    env: String,
    revision: String,
    phase: String,
    started_at: String,
    #[serde(default)]
    finished_at: String,
    #[serde(default)]
    retries: u64,
    message: String,
    #[serde(rename = "failed")]
    resources: Vec<Resource>,
    /// What a timeout waited for.
    #[serde(default)]
    waiting: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    kind: String,
    name: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deployed {
    schema: u64,
    app: String,
    env: String,
    revision: String,
    phase: String,
    #[serde(default)]
    started_at: String,
    finished_at: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unrenderable {
    schema: u64,
    app: String,
    #[serde(default)]
    env: String,
    /// Argo CD says the branch, not the commit.
    #[serde(default)]
    revision: String,
    #[serde(default)]
    observed_at: String,
    messages: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimedOut {
    schema: u64,
    app: String,
    env: String,
    revision: String,
    observed_at: String,
    /// Exit code of a smoke test from outside, where one could be run.
    probe: Option<i64>,
    messages: Vec<String>,
}

impl Envelope {
    pub(super) fn event(self, known: &Environments) -> Result<Event, InvalidEvent> {
        let (schema, app, env) = match &self {
            Self::Failed(Failed { schema, app, env, .. })
            | Self::Deployed(Deployed { schema, app, env, .. })
            | Self::Unrenderable(Unrenderable { schema, app, env, .. })
            | Self::TimedOut(TimedOut { schema, app, env, .. }) => (*schema, app.clone(), env),
        };
        if schema != SCHEMA {
            return Err(InvalidEvent::Schema(schema));
        }
        if env.is_empty() {
            return Err(InvalidEvent::NoEnvironment);
        }
        let environment = known.parse(env)?;
        match self {
            Self::Failed(payload) => payload.event(environment, &app),
            Self::Deployed(payload) => payload.event(environment, &app),
            Self::Unrenderable(payload) => payload.event(environment, &app),
            Self::TimedOut(payload) => payload.event(environment, &app),
        }
    }

    pub(super) fn of(event: &Event) -> Self {
        let schema = SCHEMA;
        let env = event.environment.name().to_owned();
        let app = env.clone();
        let revision = event.revision.map(|id| id.to_string()).unwrap_or_default();
        let at = event.observed_at.to_string();
        let messages = event.evidence.clone();
        match event.observation {
            Observation::Failed(verdict) => Self::Failed(Failed {
                schema,
                app,
                env,
                revision,
                phase: "Failed".to_owned(),
                started_at: at.clone(),
                finished_at: at,
                retries: 0,
                message: messages.join("; "),
                resources: Resource::of(verdict).into_iter().collect(),
                waiting: Vec::new(),
            }),
            Observation::Deployed(proof) => Self::Deployed(Deployed {
                schema,
                app,
                env,
                revision,
                phase: phase(proof).to_owned(),
                started_at: at.clone(),
                finished_at: at,
            }),
            Observation::Unrenderable => Self::Unrenderable(Unrenderable {
                schema,
                app,
                env,
                revision,
                observed_at: at,
                messages,
            }),
            Observation::TimedOut(verdict) => Self::TimedOut(TimedOut {
                schema,
                app,
                env,
                revision,
                observed_at: at,
                probe: match verdict {
                    Verdict::RolloutFailed => exit_code(Verdict::AppWrong),
                    verdict => exit_code(verdict),
                },
                messages,
            }),
        }
    }
}

impl Resource {
    /// A failed resource that reads as this verdict, in the words of the controllers.
    fn of(verdict: Verdict) -> Option<Self> {
        let (kind, name, message) = match (verdict, exit_code(verdict)) {
            (Verdict::RolloutFailed, _) => {
                ("Deployment", "service", "exceeded its progress deadline".to_owned())
            }
            (Verdict::Undecided, _) => {
                ("Job", "smoke", "Job has reached the specified backoff limit".to_owned())
            }
            (_, Some(code)) => {
                let rule = "matching FailJob rule at index 0";
                ("Job", "smoke", format!("Container smoke failed with exit code {code} {rule}"))
            }
            (_, None) => return None,
        };
        Some(Self { kind: kind.to_owned(), name: name.to_owned(), message })
    }
}

fn exit_code(verdict: Verdict) -> Option<i64> {
    match verdict {
        Verdict::AppWrong => Some(42),
        Verdict::ModelWrong => Some(43),
        Verdict::Undecided => Some(75),
        Verdict::RolloutFailed | Verdict::Unknown => None,
    }
}

impl Failed {
    fn event(self, environment: Environment, app: &str) -> Result<Event, InvalidEvent> {
        if !matches!(self.phase.as_str(), "Failed" | "Error") {
            return Err(InvalidEvent::Phase(self.phase));
        }
        let resources = self.resources.iter();
        let verdict = Verdict::of_resources(
            resources.map(|resource| (resource.kind.as_str(), resource.message.as_str())),
        );
        let mut evidence = vec![format!("{app}: {} after {} retries", self.message, self.retries)];
        evidence.extend(self.resources.iter().map(ToString::to_string));
        evidence.extend(self.waiting.iter().map(|what| format!("was waiting for {what}")));
        let finished =
            if self.finished_at.is_empty() { &self.started_at } else { &self.finished_at };
        Ok(Event {
            environment,
            revision: Some(self.revision.parse()?),
            observed_at: time(finished)?,
            observation: Observation::Failed(verdict),
            evidence,
        })
    }
}

impl Deployed {
    fn event(self, environment: Environment, app: &str) -> Result<Event, InvalidEvent> {
        let proofs = [Proof::SmokePassed, Proof::AlreadyLive];
        let proof = proofs.into_iter().find(|proof| phase(*proof) == self.phase);
        Ok(Event {
            environment,
            revision: Some(self.revision.parse()?),
            observed_at: time(&self.finished_at)?,
            observation: Observation::Deployed(proof.ok_or(InvalidEvent::Phase(self.phase))?),
            evidence: vec![format!("{app}: deployed")],
        })
    }
}

/// `Succeeded` is the phase of an operation; `Synced` says that there was none.
fn phase(proof: Proof) -> &'static str {
    match proof {
        Proof::SmokePassed => "Succeeded",
        Proof::AlreadyLive => "Synced",
    }
}

impl Unrenderable {
    fn event(self, environment: Environment, app: &str) -> Result<Event, InvalidEvent> {
        let mut evidence = vec![format!("{app}: cannot be rendered")];
        evidence.extend(self.messages);
        Ok(Event {
            environment,
            revision: CommitId::from_str(&self.revision).ok(),
            observed_at: time(&self.observed_at)?,
            observation: Observation::Unrenderable,
            evidence,
        })
    }
}

impl TimedOut {
    fn event(self, environment: Environment, app: &str) -> Result<Event, InvalidEvent> {
        let mut evidence = vec![format!("{app}: no verdict until the deadline")];
        evidence.extend(self.messages);
        let verdict = match self.probe.map_or(Verdict::Unknown, Verdict::of_exit_code) {
            // Seen from outside, 42 may be the old version that still answers. It condemns no image.
            Verdict::AppWrong => Verdict::RolloutFailed,
            verdict => verdict,
        };
        Ok(Event {
            environment,
            revision: Some(self.revision.parse()?),
            observed_at: time(&self.observed_at)?,
            observation: Observation::TimedOut(verdict),
            evidence,
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: {}", self.kind, self.name, self.message)
    }
}

fn time(text: &str) -> Result<Timestamp, InvalidEvent> {
    text.parse().map_err(|error| InvalidEvent::Time(format!("`{text}`: {error}")))
}
