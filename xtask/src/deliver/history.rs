//! `history`: the Changes of an environment, newest first, for people and as JSON.

use gitops::change::Change;
use gitops::history::History;
use gitops::pin::Pinned;
use gitops::trailers::Key;
use serde::Serialize;

use crate::deliver::ending::{self, Stop, end};
use crate::deliver::remote::{Remote, environment};
use crate::repo::Repo;
use crate::report::data;

/// What an environment ran, newest first, with what became of it
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Name of an environment [default: all]
    pub(crate) environment: Option<String>,
    /// One JSON array, of all changes unless limited
    #[arg(long)]
    pub(crate) json: bool,
    /// Changes of each environment [default: 20]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Of a person's screen.
const LIMIT: usize = 20;

/// One Change as JSON. Fields are added and never renamed.
#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as a reader of JSON wants them"
)]
struct Row {
    environment: String,
    commit: String,
    committed_at: String,
    kind: &'static str,
    title: String,
    /// `unreleased`, `unreadable` and `missing` have no version.
    pinned: String,
    image: Option<String>,
    app_version: Option<String>,
    model_version: Option<String>,
    model_digest: Option<String>,
    alters_pin: bool,
    alters_config: bool,
    verified: bool,
    rolled_back: bool,
    verdict: Option<String>,
    reason: Option<String>,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.history(repo))
    }

    fn history(&self, repo: &Repo) -> Result<(), Stop> {
        let snapshot = self.remote.snapshot(repo)?;
        let environments = match &self.environment {
            Some(name) => vec![environment(&snapshot, name)?],
            None => snapshot.environments().iter().cloned().collect(),
        };
        let most = self.limit.unwrap_or(if self.json { usize::MAX } else { LIMIT });
        let mut rows = Vec::new();
        for environment in environments {
            let history = snapshot.history(&environment);
            let newest = history.changes().iter().rev().take(most);
            rows.extend(newest.map(|change| Row::of(&history, change)));
        }
        if self.json {
            data(serde_json::to_string(&rows).map_err(anyhow::Error::from)?);
        } else {
            for row in &rows {
                data(row.line());
            }
        }
        Ok(())
    }
}

impl Row {
    fn of(history: &History, change: &Change) -> Self {
        let pinned = history.pinned(change);
        let pin = pinned.pin();
        let trailer = |key| change.trailers.get(key).map(str::to_owned);
        Self {
            environment: history.environment().to_string(),
            commit: change.commit.to_string(),
            committed_at: change.committed_at.to_string(),
            kind: change.kind.name(),
            title: change.title.clone(),
            image: pin.map(|pin| pin.image.to_string()),
            app_version: pin.map(|pin| pin.app_version.as_str().to_owned()),
            model_version: pin.map(|pin| pin.model_version().as_str().to_owned()),
            model_digest: pin.map(|pin| pin.model_digest.to_string()),
            alters_pin: change.alters_pin,
            alters_config: change.alters_config,
            verified: history.is_verified(change),
            rolled_back: history.is_rolled_back(change),
            verdict: trailer(Key::Verdict),
            reason: trailer(Key::Reason),
            pinned: match pinned {
                Pinned::Unreadable { reason, .. } => format!("unreadable: {reason}"),
                other => other.to_string(),
            },
        }
    }

    fn line(&self) -> String {
        let mark = match (self.verified, self.rolled_back) {
            (_, true) => "rolled back",
            (true, false) => "verified",
            (false, false) => "",
        };
        let at = self.committed_at.get(..16).unwrap_or(&self.committed_at).replace('T', " ");
        let commit = &self.commit[..10];
        format!("{commit}  {at}  {:<12} {mark:<11}  {}", self.environment, self.title)
            .trim_end()
            .to_owned()
    }
}
