//! `release`: from an artifact to one commit on main. Gate, image, smoke test of exactly the digest that
//! was read back, pin. The image is named by what is in it, so a second run finds what the first one
//! left, whatever ended it.

use anyhow::Context;
use gitops::guards::Guard;
use gitops::history::History;
use gitops::object_id::CommitId;
use gitops::pin::Pin;
use gitops::plan;
use gitops::verdict::Verdict;

use crate::deliver::content::Content;
use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::gate::Evidence;
use crate::deliver::image;
use crate::deliver::models::Models;
use crate::deliver::program::Program;
use crate::deliver::remote::{Publication, environment};
use crate::deliver::store::Store;
use crate::repo::Repo;
use crate::report::{Exit, WithHint, step};

/// Let an environment run a model: gate, image, smoke test, one commit
///
/// Refused where the policy of model/gate.yaml does not hold. The commit writes the environment's pin
/// file and nothing else; the rest is the reconciler's. Run it again after any interruption: what was
/// built and pushed is found by its name.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Artifact folder, or the artifact's own image as NAME@sha256:… [default: the one trained last]
    #[arg(long, value_name = "DIR|IMAGE")]
    pub(crate) model: Option<String>,
    /// Environment to run it
    #[arg(long, default_value = "staging", value_name = "ENV")]
    pub(crate) env: String,
    /// Where images belong [default: where the environment's present image is from]
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) image: Option<String>,
    /// The newest verified model of this environment must not be better
    #[arg(long, default_value = "production", value_name = "ENV")]
    pub(crate) against: String,
    #[command(flatten)]
    pub(crate) evidence: Evidence,
    /// Build although there are changes that no commit holds; the version says so
    #[arg(long)]
    pub(crate) allow_dirty: bool,
    /// Private key to sign with, where kustomize/signing.yaml demands it: a file, or any reference that
    /// cosign takes; its password is read from `COSIGN_PASSWORD`
    #[arg(long, env = "COSIGN_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) signing_key: Option<String>,
    #[command(flatten)]
    pub(crate) publication: Publication,
}

/// What main said when the gate judged. Minutes later it may say something else: then the judgement is
/// about another champion, or would silently overwrite somebody's release.
#[derive(PartialEq, Eq)]
struct Grounds {
    head: Option<CommitId>,
    champion: Option<CommitId>,
}

impl Grounds {
    fn of(history: &History, champions: &History) -> Self {
        Self {
            head: history.head().map(|head| head.commit),
            champion: champions.restorable().next().map(|(champion, _)| champion.commit),
        }
    }
}

/// A release that ended half-way lost nothing.
const AGAIN: &str = "the same command again, once that is mended: what is whole is found and kept";

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.release(repo))
    }

    fn release(&self, repo: &Repo) -> Result<(), Stop> {
        let store = &self.publication.store;
        let snapshot = self.publication.remote.snapshot(repo)?;
        let history = snapshot.history(&environment(&snapshot, &self.env)?);
        let champions = snapshot.history(&environment(&snapshot, &self.against)?);
        let judged_on = Grounds::of(&history, &champions);
        let repository = self.repository(&history)?;
        store.demand_signable(repo, snapshot.signing(), self.signing_key.as_deref())?;
        let movable = plan::demand_movable(&history);
        movable.map_err(|guard| Stop::guard(Ending::of(guard), guard, history.environment()))?;

        let scratch = tempfile::tempdir().context("making a folder for artifacts")?;
        let models = Models { repo, store, scratch: scratch.path() };
        let artifact = models.candidate(self.model.as_deref())?;
        let evidence = self.evidence.open(repo)?;
        let champion = models.champion(&champions)?;
        let program = Program::of(repo)?;
        let mut judgement = evidence.judge(&artifact, champion.as_ref())?;
        let committed = if program.dirty { "is not" } else { "is" };
        judgement.add(
            !program.dirty || self.allow_dirty,
            format!("what the service is built from {committed} committed"),
        );
        evidence.report(&judgement)?;
        if !judgement.passed() {
            let refused = anyhow::anyhow!("the gate refuses this model:\n{judgement}");
            return Err(Stop::new(Ending::Refused, refused, "cargo xtask gate --help tells more"));
        }
        step(&judgement);

        let content = Content { artifact: &artifact, program: &program, repository: &repository };
        let pin = match content.find(store)? {
            Some(pin) => {
                step(format_args!("{} is there already", pin.image));
                pin
            }
            None if self.publication.dry_run => {
                let tag = content.tag();
                step(format_args!(
                    "\nnothing was changed: {repository}:{tag} would be made, tried, and pinned in {}",
                    self.env
                ));
                return Ok(());
            }
            None => content.make(repo, store).hint(AGAIN)?,
        };
        try_out(repo, store, &pin)?;
        store
            .sign(repo, &pin.image, snapshot.signing(), self.signing_key.as_deref())
            .hint(AGAIN)?;
        self.pin(repo, &pin, &judgement.to_string(), &judged_on)
    }

    /// The commit, with the gate's word as its evidence.
    fn pin(
        &self,
        repo: &Repo,
        pin: &Pin,
        judgement: &str,
        judged_on: &Grounds,
    ) -> Result<(), Stop> {
        let names = [&*self.against, &*self.env];
        self.publication.publish(repo, &names, |snapshot, environments| {
            let [champions, history] = [0, 1].map(|at| snapshot.history(&environments[at]));
            let mut plan = plan::release(&history, pin)?;
            if Grounds::of(&history, &champions) != *judged_on {
                return Err(Guard::Contended);
            }
            plan.paragraphs.push(judgement.to_owned());
            Ok(plan)
        })
    }

    fn repository(&self, history: &History) -> Result<String, Stop> {
        let present = history.head().map(|head| history.pinned(head));
        let present = present.as_ref().and_then(|pinned| pinned.pin());
        let in_layout = self.publication.store.layout.as_ref().map(|_| image::REPOSITORY);
        let repository = self.image.as_deref();
        let repository = repository.or(present.map(|pin| pin.image.repository())).or(in_layout);
        repository.map(str::to_owned).ok_or_else(|| {
            let nowhere = anyhow::anyhow!("nothing says where images of {} belong", self.env);
            Stop::new(Ending::Misused, nowhere, "--image ghcr.io/OWNER/NAME; later it is known")
        })
    }
}

/// Exactly what will be pinned. An image that its own smoke test condemns is refused; anything else that
/// goes wrong says nothing about it.
fn try_out(repo: &Repo, store: &Store, pin: &Pin) -> Result<(), Stop> {
    let Err(error) = image::demand_fit(repo, store, pin) else { return Ok(()) };
    let verdict = error.downcast_ref::<Exit>().map(|exit| Verdict::of_exit_code(exit.code.into()));
    if verdict.is_some_and(Verdict::condemns_the_image) {
        let hint = "cargo xtask image smoke IMAGE shows more, where a container engine is";
        return Err(Stop::new(Ending::Refused, error, hint));
    }
    if verdict == Some(Verdict::Undecided) {
        return Err(Stop::new(Ending::TryAgain, error, AGAIN));
    }
    Ok(Err(error).hint(AGAIN)?)
}
