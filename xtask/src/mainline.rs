//! Main in Git: [`gitops::mainline::Mainline`] over a clone and the remote that everybody pushes to.
//!
//! The work tree, the index and the user's own branches and tags are neither read nor written: names are
//! the remote's, commits are made with an index of their own. So kill -9, races and a dirty checkout are
//! non-events.

mod commit;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod edges;
mod log;
mod push;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod scale;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gitops::event::Event;
use gitops::mainline::{Built, Images, Mainline, Outcome, Push, Update, handle};
use gitops::object_id::CommitId;
use gitops::plan::Plan;
use gitops::snapshot::{Blobs, Commit, Mark, Snapshot};
use jiff::Timestamp;

use crate::process::Cmd;
use crate::report::WithHint;
use crate::tools::git;

pub(crate) struct GitMainline {
    /// Any clone of the repository, bare or not.
    clone: PathBuf,
    /// Name or address of where main lives.
    remote: String,
    /// Time of commits; the machine's clock where none is given.
    clock: Option<Timestamp>,
    /// Longest wait after the first lost race; twice as long after each further one.
    patience: Duration,
}

/// Everything that says something, main first.
const NAMES: [&str; 4] =
    ["refs/heads/main", "refs/tags/verified/*", "refs/tags/rollback/*", "refs/heads/proposal/*"];
/// Our only ref in the clone: it keeps what was fetched.
const FETCHED: &str = "refs/mainline/main";

/// The remote cannot be reached, or not by us now: what was asked may be asked again. Of a push that was cut off
/// nobody knows whether it was taken; whoever repeats it finds out.
#[derive(Debug)]
pub(crate) struct NoAnswer(String);

impl NoAnswer {
    fn new(said: &str) -> Self {
        Self(said.trim().to_owned())
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

/// Everything a snapshot is made of.
pub(crate) struct Evidence {
    pub(crate) commits: Vec<Commit>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) blobs: Blobs,
}

/// The one path of every report, whoever received it: `rollback --auto`, `deployed`, a webhook, a
/// stand-in for Argo CD. What is not an event for one of main's environments is an error.
pub(crate) fn receive<M: Mainline<Error = anyhow::Error>>(
    main: &mut M,
    images: &mut Images<'_>,
    json: &[u8],
) -> anyhow::Result<Outcome> {
    let snapshot = main.load()?;
    let event = Event::parse(json, snapshot.environments())
        .context("the report is not one that can be acted on")
        .hint(
            "xtask/gitops/fixtures shows what a report looks like, and the templates that send it",
        )?;
    handle(main, images, &event)
}

impl GitMainline {
    pub(crate) fn open(clone: &Path, remote: &str) -> anyhow::Result<Self> {
        let shallow = git::plumbing(clone).args(["rev-parse", "--is-shallow-repository"]).bytes();
        let shallow = shallow
            .with_context(|| format!("`{}` is no Git repository", clone.display()))
            .hint("run this in a clone of the repository that the cluster follows")?;
        if shallow.starts_with(b"true") {
            return Err(anyhow::anyhow!("the history of this clone is cut off"))
                .hint("git fetch --unshallow (in CI: check out with fetch-depth 0)");
        }
        Ok(Self {
            clone: clone.to_owned(),
            remote: remote.to_owned(),
            clock: None,
            patience: Duration::from_millis(200),
        })
    }

    fn git(&self) -> Cmd {
        git::plumbing(&self.clone)
    }

    /// Brings main's commits here. Two processes in one clone may meet at the ref that keeps them. Only that
    /// ref says that a commit is here whole: of a fetch that was cut short, or still runs for somebody else, the
    /// commit may be here and its files not.
    fn fetch(&self, tip: CommitId) -> anyhow::Result<()> {
        const TRIES: u32 = 5;
        let has =
            self.git().args(["merge-base", "--is-ancestor"]).arg(tip.to_string()).arg(FETCHED);
        let options = ["--quiet", "--no-tags", "--no-write-fetch-head"];
        let fetch = self.git().arg("fetch").args(options).arg("--").arg(&self.remote);
        let fetch = fetch.arg(format!("+{}:{FETCHED}", NAMES[0]));
        for lost in 1..=TRIES {
            if has.succeeds() {
                return Ok(());
            }
            let ended = fetch.end()?;
            let met = ended.success || ended.stderr.contains("cannot lock ref");
            if !met || lost == TRIES {
                return Err(NoAnswer::new(&ended.stderr))
                    .with_context(|| format!("fetching {tip} of main from `{}`", self.remote))
                    .hint("git fetch shows whether the remote answers");
            }
        }
        Ok(())
    }

    /// What the remote says now: main's tip, and the marks. The clone's own tags play no part.
    fn names(&self) -> anyhow::Result<(CommitId, Vec<Mark>)> {
        let names = self.git().args(["ls-remote", "--quiet", "--", &self.remote]).args(NAMES);
        let ended = names.end()?;
        if !ended.success {
            return Err(NoAnswer::new(&ended.stderr))
                .with_context(|| format!("asking `{}` for its refs", self.remote))
                .hint("git ls-remote shows whether the remote answers");
        }
        let mut tip = None;
        let mut marks = Vec::new();
        for (id, name) in ended.stdout.lines().filter_map(|line| line.split_once('\t')) {
            let id: CommitId = id.parse()?;
            if name == NAMES[0] {
                tip = Some(id);
            }
            marks.extend(Mark::parse(name, id));
        }
        let tip = tip.with_context(|| format!("`{}` has no branch main", self.remote));
        Ok((tip.hint("git push --set-upstream origin main")?, marks))
    }

    /// Two calls for the history, names and commits; one more for the content of pins and holds.
    pub(crate) fn look(&self) -> anyhow::Result<Evidence> {
        let (tip, marks) = self.names()?;
        self.fetch(tip)?;
        let commits = log::read(&self.git(), tip)?;
        let blobs = log::contents(&self.git(), &commits)?;
        Ok(Evidence { commits, marks, blobs })
    }

    /// A commit with these files on top of `beneath`, else of main, that nothing points to yet; none where they are
    /// there as they are.
    pub(crate) fn commit(
        &self,
        beneath: Option<CommitId>,
        files: &[(&str, String)],
        message: &str,
    ) -> anyhow::Result<Option<CommitId>> {
        let parent = if let Some(commit) = beneath {
            commit
        } else {
            let (tip, _) = self.names()?;
            self.fetch(tip)?;
            tip
        };
        let mut edits = commit::Edits::default();
        for (path, content) in files {
            edits.write(&|| self.git(), path, content)?;
        }
        let made = commit::commit(&|| self.git(), self.clock, parent, &edits, message)?;
        let same = self.git().args(["diff-tree", "--quiet"]);
        let same = same.args([parent.to_string(), made.to_string()]).succeeds();
        Ok((!same).then_some(made))
    }

    pub(crate) fn has(&self, branch: &str) -> anyhow::Result<bool> {
        let names = self.git().args(["ls-remote", "--quiet", "--", &self.remote]);
        let ended = names.arg(format!("refs/heads/{branch}")).end()?;
        if !ended.success {
            return Err(NoAnswer::new(&ended.stderr))
                .with_context(|| format!("asking `{}` for {branch}", self.remote))
                .hint("git ls-remote shows whether the remote answers");
        }
        Ok(!ended.stdout.is_empty())
    }

    fn wait(&self, lost: u32) {
        let longest = self.patience.saturating_mul(1 << lost.min(6));
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
        let jitter = RandomState::new().hash_one(lost) % longest;
        std::thread::sleep(Duration::from_millis(longest / 4 + jitter).min(longest_wait()));
    }
}

fn longest_wait() -> Duration {
    Duration::from_secs(5)
}

impl Mainline for GitMainline {
    type Error = anyhow::Error;

    fn load(&mut self) -> anyhow::Result<Arc<Snapshot>> {
        let Evidence { commits, marks, blobs } = self.look()?;
        let snapshot = Snapshot::new(&commits, marks, blobs).context("main has no commits")?;
        Ok(Arc::new(snapshot))
    }

    fn build(&mut self, plan: &Plan) -> anyhow::Result<Built> {
        commit::build(&|| self.git(), self.clock, plan)
    }

    fn push(&mut self, updates: &[Update]) -> anyhow::Result<Push> {
        push::push(self.git(), &self.remote, updates)
    }

    fn back_off(&mut self, lost: u32) {
        self.wait(lost);
    }
}
