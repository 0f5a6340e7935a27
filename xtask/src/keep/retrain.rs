//! `retrain`: from what main describes, and what callers labelled, to a branch whose merge ships the model.
//!
//! Nothing is decided here: what a picture is worth says `mlops`, whether a model may ship the gate, what ships it
//! `release`. Nothing is pushed before the gate said yes, main is never written to, and the checkout's own labelled
//! pictures stay what they are.

mod labelled;
mod trigger;

use std::path::PathBuf;

use anyhow::Context;
use contract::artifact::Artifact;
use gitops::history::History;
use gitops::object_id::CommitId;

use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::gate::Evidence;
use crate::deliver::models::Models;
use crate::deliver::remote::{Onto, Publication, environment};
use crate::deliver::{gate, release};
use crate::keep;
use crate::repo::{POINTER, Repo};
use crate::report::{data, step};
use crate::tools::git::{self, Head};
use crate::train::training;

use self::labelled::{Gathered, Labelled};
use self::trigger::Trigger;

/// Train anew on what main describes and callers labelled; what passes the gate becomes a branch to merge
///
/// Pictures that were labelled are added to those that main has and versioned as model/data/feedback, and the branch
/// has the pointer to them: look at them before you merge it. Where main has such a pointer, every `train` takes them
/// along. The branch is retrain/ENV/MODEL, and its last commit is the one that `release` would make on main. Where the
/// model is the one that runs already, or the branch is there, nothing is to be done. stdout is a report in Markdown.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
// By its name it would be the training's.
#[group(id = "retrain")]
pub(crate) struct Args {
    #[command(flatten)]
    trigger: Trigger,
    #[command(flatten)]
    labelled: Labelled,
    #[command(flatten)]
    training: training::Args,
    /// Environment that is to run it
    #[arg(long, default_value = "staging", value_name = "ENV")]
    env: String,
    /// Where images belong [default: where the environment's present image is from]
    #[arg(long, value_name = "REPOSITORY")]
    image: Option<String>,
    /// The newest verified model of this environment must not be better
    #[arg(long, default_value = "production", value_name = "ENV")]
    against: String,
    /// What may ship [default: model/gate.yaml]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Write the gate's judgement here, too, for people: gate.md, and a picture of what records became otherwise
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Where no image can be built: the branch has the artifact, versioned, and `release --model` ships it once merged
    #[arg(long)]
    artifact_only: bool,
    /// Build although there are changes that no commit holds; the version says so
    #[arg(long)]
    allow_dirty: bool,
    /// Private key to sign with, where kustomize/signing.yaml demands it
    #[arg(long, env = "COSIGN_KEY", hide_env_values = true, value_name = "KEY")]
    signing_key: Option<String>,
    #[command(flatten)]
    publication: Publication,
}

/// A model to be judged, and where it would go.
struct Candidate {
    folder: String,
    branch: String,
    gathered: Option<Gathered>,
    /// The commit on top of main that has what it was trained on, where main does not say so itself.
    trained_on: Option<CommitId>,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        if !end(self.trigger.pull())? {
            return Ok(());
        }
        // Not after minutes of training.
        end(self.evidence(None).open(repo).map(drop).map_err(Stop::from))?;
        let Some(candidate) = end(self.train(repo))? else { return Ok(()) };
        data("\n## Gate\n\n```");
        let judged = self.gate(&candidate).run(repo);
        data("```");
        judged?;
        if let Some(gathered) = candidate.gathered.as_ref().filter(|_| !self.publication.dry_run) {
            end(gathered.push(repo).map_err(Stop::from))?;
        }
        data("\n## Release\n");
        if self.artifact_only {
            return end(self.propose_artifact(repo, &candidate));
        }
        self.release(&candidate).run(repo)
    }

    /// None where nothing is to be done.
    fn train(&self, repo: &Repo) -> Result<Option<Candidate>, Stop> {
        let Publication { remote, store, .. } = &self.publication;
        let snapshot = remote.snapshot(repo)?;
        let history = snapshot.history(&environment(&snapshot, &self.env)?);
        let champions = snapshot.history(&environment(&snapshot, &self.against)?);
        data(format_args!("# Retraining for {}\n", self.env));
        let scratch = tempfile::tempdir().context("making a folder for artifacts")?;
        let tip = history.tip();
        let on_main = git::file(remote.repository(repo), &tip.to_string(), POINTER)?;
        if self.labelled.feedback.is_empty() && git::committed(repo, POINTER)? != on_main {
            let stale = anyhow::anyhow!("main has other labelled pictures than this checkout");
            return Err(Stop::new(Ending::Failed, stale, "git pull"));
        }
        let gathered = self.labelled.gather(repo, on_main, &self.against, || {
            Models { repo, store, scratch: scratch.path() }.champion(&champions)
        })?;
        let mut training = self.training.clone();
        let mut trained_on = None;
        if let Some(Gathered { told, pointer, .. }) = &gathered {
            let message = format!("Train on what callers labelled\n\n{told}\n");
            trained_on = remote.commit(repo, Some(tip), &[(POINTER, pointer.clone())], &message)?;
            training.labelled = gathered.as_ref().map(Gathered::folder);
        }
        let head = head(repo, tip, gathered.as_ref(), trained_on)?;
        // Nobody is left to judge what a training without us would come to.
        let folder = training.trainer_at(repo, head)?.tied_to_us().read()?;
        let folder = folder.trim_end().to_owned();
        let artifact = Artifact::open(folder.as_ref()).map_err(anyhow::Error::from)?;
        let manifest = artifact.manifest();
        let version = &manifest.model_version;
        data(format_args!(
            "\n## Model\n\n`{version}`: {:.2} % of {} test images right; trained on {} images, {} of them labelled by \
             callers, by the recipe `{}` with seed {}.",
            100.0 * manifest.metrics.accuracy,
            manifest.data.test,
            manifest.data.train,
            manifest.data.added,
            manifest.training.recipe,
            manifest.training.seed
        ));
        let runs = |history: &History| {
            let pinned = history.head().map(|head| history.pinned(head));
            pinned.and_then(|pinned| Some(pinned.pin()?.model_digest))
                == Some(manifest.model_digest)
        };
        if runs(&history) {
            step(format_args!("nothing to do: {} runs {version} already", self.env));
            return Ok(None);
        }
        let branch = format!("retrain/{}/{version}", self.env);
        if remote.has(repo, &branch)? {
            step(format_args!("nothing to do: the branch {branch} is there"));
            return Ok(None);
        }
        Ok(Some(Candidate { folder, branch, gathered, trained_on }))
    }

    fn evidence(&self, gathered: Option<&Gathered>) -> Evidence {
        Evidence {
            policy: self.policy.clone(),
            records: self.labelled.records.clone(),
            labelled: gathered.map(Gathered::folder),
            report: self.report.clone(),
        }
    }

    fn gate(&self, candidate: &Candidate) -> gate::Args {
        gate::Args {
            candidate: Some(candidate.folder.clone()),
            against: self.against.clone(),
            evidence: self.evidence(candidate.gathered.as_ref()),
            remote: self.publication.remote.clone(),
            store: self.publication.store.clone(),
        }
    }

    /// By what the gate judged by; its report is written.
    fn release(self, candidate: &Candidate) -> release::Args {
        let evidence = Evidence { report: None, ..self.evidence(candidate.gathered.as_ref()) };
        let Candidate { folder, branch, trained_on, .. } = candidate;
        let onto = Some(Onto { branch: branch.clone(), after: *trained_on });
        release::Args {
            model: Some(folder.clone()),
            env: self.env,
            image: self.image,
            against: self.against,
            evidence,
            allow_dirty: self.allow_dirty,
            signing_key: self.signing_key,
            publication: Publication { onto, ..self.publication },
        }
    }

    fn propose_artifact(&self, repo: &Repo, candidate: &Candidate) -> Result<(), Stop> {
        let Candidate { folder, branch, trained_on, .. } = candidate;
        let Publication { remote, dry_run, .. } = &self.publication;
        let pointer = format!("{folder}.dvc");
        let root = fs_err::canonicalize(repo.root()).map_err(anyhow::Error::from)?;
        keep::data(repo)?.arg("add").arg(folder).run()?;
        let content = fs_err::read_to_string(&pointer).map_err(anyhow::Error::from)?;
        let path = fs_err::canonicalize(&pointer).map_err(anyhow::Error::from)?;
        let path = path.strip_prefix(&root).context("an artifact outside of the checkout")?;
        let message = format!("A model to release: {}\n", path.with_extension("").display());
        let path = path.to_string_lossy();
        let commit = remote.commit(repo, *trained_on, &[(&*path, content)], &message)?;
        let Some(commit) = commit else {
            step("nothing to do: main has this model");
            return Ok(());
        };
        data(message.trim_end());
        if *dry_run {
            step("\nnothing was changed: this is what would be pushed");
            return Ok(());
        }
        keep::data(repo)?.arg("push").arg(folder).run()?;
        Ok(remote.propose(repo, branch, commit)?)
    }
}

/// What the artifact says that it came from. Where only the pictures are new, it is the commit that has them.
fn head(
    repo: &Repo,
    tip: CommitId,
    gathered: Option<&Gathered>,
    trained_on: Option<CommitId>,
) -> anyhow::Result<Option<Head>> {
    let (Some(head), Some(gathered)) = (git::head(repo), gathered) else {
        return Ok(git::head(repo));
    };
    let is_main = head.revision == tip.to_string() && !git::differs(repo, &[".".to_owned()])?;
    if let Some(commit) = trained_on.filter(|_| is_main) {
        return Ok(Some(Head { revision: commit.to_string(), dirty: false }));
    }
    // No commit has both, what is in the checkout and these pictures.
    let has_them = git::committed(repo, POINTER)?.as_ref() == Some(&gathered.pointer);
    Ok(Some(Head { dirty: head.dirty || !has_them, ..head }))
}
