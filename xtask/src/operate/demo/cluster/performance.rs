//! The acts on a cluster. Reports go from Argo CD to the handler in its pod without us: what an act waits for
//! is what main says, and what the visitors saw.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use contract::artifact::Artifact;
use gitops::history::History;
use gitops::verdict::Verdict;

use super::company::Company;
use crate::deliver::promote;
use crate::identity::{APPLICATIONS, PROJECT, ROOT};
use crate::operate::demo::INTERRUPTED;
use crate::operate::demo::script::{PRODUCTION, STAGING, Script};
use crate::operate::visitor::Seen;
use crate::rendered::{Objects, smoke};
use crate::repo::Repo;
use crate::report::data;
use crate::tools::kubectl::Conflicts;
use crate::tools::kustomize;

pub(super) struct Performance<'a> {
    script: Script<'a>,
    company: &'a Company,
    clone: &'a Repo,
    /// Labelled pictures, for the visitors.
    probes: String,
    /// Of questions, per second and environment.
    rate: u32,
    /// How many of a visitor's lines were read.
    read: RefCell<BTreeMap<String, usize>>,
    /// Time steps that the end tells.
    steps: RefCell<Vec<(String, f64)>>,
    act: Cell<u32>,
}

/// For what an act waits for: at most a rollout that is given up.
const PATIENCE: Duration = Duration::from_mins(4);
const INTERVAL: Duration = Duration::from_millis(300);
/// A visitor tells what it saw this often, and a bit.
const TOLD: Duration = Duration::from_millis(1300);

impl<'a> Performance<'a> {
    pub(super) fn of(
        script: Script<'a>,
        company: &'a Company,
        clone: &'a Repo,
        probes: String,
        rate: u32,
    ) -> Self {
        let (read, steps, act) = Default::default();
        Self { script, company, clone, probes, rate, read, steps, act }
    }
}

impl Performance<'_> {
    pub(super) fn play(&self) -> anyhow::Result<()> {
        let good = self.a_good_release_goes_live_under_load()?;
        self.a_release_that_crashes_is_reverted(&good)?;
        self.a_wrong_model_is_caught_and_quarantined()?;
        self.a_fix_forward_is_left_alone(&good)?;
        self.epilogue()
    }

    fn a_good_release_goes_live_under_load(&self) -> anyhow::Result<Artifact> {
        self.act("a good release is smoked, verified, promoted, and live, and no request is lost");
        let first = self.script.workshop.good(0)?;
        self.script.release(&first)?;
        let kubectl = self.company.kubectl();
        for file in [PROJECT.to_owned(), format!("{APPLICATIONS}/{STAGING}.yaml")] {
            let manifests = fs_err::read_to_string(self.clone.path(&file))?;
            kubectl.apply(&manifests, Conflicts::Refuse)?;
        }
        self.await_verified(STAGING, "the first release, with its images fetched")?;
        self.promote()?;
        let root = fs_err::read_to_string(self.clone.path(ROOT))?;
        kubectl.apply(&root, Conflicts::Refuse)?;
        self.await_verified(PRODUCTION, "its promotion, by the root Application")?;

        let service = self.service()?;
        for environment in [STAGING, PRODUCTION] {
            self.company.send_visitor(environment, &service, &self.probes, self.rate)?;
        }
        self.await_visitors()?;
        let second = self.script.workshop.good(1)?;
        self.script.release(&second)?;
        self.await_verified(STAGING, "a good release: pushed to verified")?;
        self.promote()?;
        self.await_verified(PRODUCTION, "its promotion: pushed to verified")?;
        for environment in [STAGING, PRODUCTION] {
            self.demand_undisturbed(environment)?;
        }
        Ok(second)
    }

    fn a_release_that_crashes_is_reverted(&self, good: &Artifact) -> anyhow::Result<()> {
        self.act("a release that crashes is reverted, and the old one serves all the while");
        let broken = self.script.workshop.broken(good)?;
        self.script.pin_past_the_gate(&broken, "broken")?;
        self.await_rollback(Verdict::RolloutFailed)?;
        let after = self.await_verified(STAGING, "reverted to verified")?;
        let condemned = !after.holds().is_ok_and(|holds| holds.quarantined.is_empty());
        ensure!(!condemned, "a crash condemned an image");
        self.demand_undisturbed(STAGING)
    }

    fn a_wrong_model_is_caught_and_quarantined(&self) -> anyhow::Result<()> {
        self.act("a model that is healthy and wrong is caught by the probes, and quarantined");
        let ignorant = self.script.workshop.ignorant()?;
        self.say("the gate sees it at once:");
        self.script.demand_refused(
            self.script.release_args(&ignorant).run(self.script.repo),
            "the gate refuses",
        )?;
        let pin = self.script.pin_past_the_gate(&ignorant, "ignorant")?;
        let pinned = Instant::now();
        let after = self.await_rollback(Verdict::ModelWrong)?;
        ensure!(after.is_held(pin.image.digest()), "a wrong model was not quarantined");
        self.await_verified(STAGING, "reverted to verified")?;
        self.note("bad pin to old version verified", pinned);
        let seen = self.seen(STAGING)?;
        ensure!(seen.wrong > 0, "nobody saw the wrong model");
        ensure!(seen.lost == 0, "requests were lost");
        self.steps
            .borrow_mut()
            .push(("first to last wrong answer".to_owned(), seen.wrong_for().as_secs_f64()));
        self.say("and whoever tries the same image again:");
        self.script.demand_refused(self.script.publish(&pin), "quarantined")
    }

    fn a_fix_forward_is_left_alone(&self, good: &Artifact) -> anyhow::Result<()> {
        self.act("a fix-forward overtakes a failure, and nothing is reverted");
        let fix = self.script.workshop.good(2)?;
        let broken = self.script.workshop.broken(good)?;
        self.script.pin_past_the_gate(&broken, "broken-again")?;
        self.await_phase(STAGING, "Running")?;
        self.say("before it is given up, the fix is pushed:");
        self.script.release(&fix)?;
        let pushed = self.script.history(STAGING)?;
        let after = self.await_verified(STAGING, "fix pushed to verified")?;
        let same = after.head().map(|head| head.commit) == pushed.head().map(|head| head.commit);
        ensure!(same, "something was pinned after the fix");
        self.demand_undisturbed(STAGING)
    }

    fn epilogue(&self) -> anyhow::Result<()> {
        self.script.transcript.act("What main says now");
        data(self.script.stage.log(&["--format=%h %s"])?.trim_end());
        self.say("where the seconds went:");
        for (step, seconds) in self.steps.borrow().iter() {
            data(format_args!("{seconds:8.1} s  {step}"));
        }
        self.demand_undisturbed(PRODUCTION)
    }

    fn act(&self, title: &str) {
        self.act.set(self.act.get() + 1);
        self.script.transcript.act(&format!("Act {}: {title}", self.act.get()));
    }

    fn say(&self, what: impl std::fmt::Display) {
        self.script.transcript.say(what);
    }

    fn note(&self, step: &str, since: Instant) {
        let seconds = since.elapsed().as_secs_f64();
        self.say(format_args!("{step}: {seconds:.1} s"));
        self.steps.borrow_mut().push((format!("act {}: {step}", self.act.get()), seconds));
    }

    fn promote(&self) -> anyhow::Result<()> {
        let promotion = promote::Args {
            from: STAGING.to_owned(),
            to: PRODUCTION.to_owned(),
            publication: self.script.stage.publication(),
        };
        promotion.run(self.script.repo)
    }

    fn await_verified(&self, environment: &str, step: &str) -> anyhow::Result<History> {
        let began = Instant::now();
        let history = self.await_main(environment, "verified", |history| {
            history.head().is_some_and(|head| history.is_verified(head))
        })?;
        self.note(&format!("{environment}: {step}"), began);
        Ok(history)
    }

    fn await_rollback(&self, verdict: Verdict) -> anyhow::Result<History> {
        let before = self.script.history(STAGING)?;
        let undone = before.head().context("staging was never released")?.commit;
        let began = Instant::now();
        self.await_main(STAGING, "rolled back", |history| {
            history.head().is_some_and(|head| head.rollback_of() == Some(undone))
        })?;
        self.note("bad pin on main to revert on main", began);
        self.script.demand_rolled_back(&before, verdict)
    }

    fn await_main(
        &self,
        environment: &str,
        what: &str,
        is_so: impl Fn(&History) -> bool,
    ) -> anyhow::Result<History> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            demand_uninterrupted()?;
            let history = self.script.history(environment)?;
            if is_so(&history) {
                return Ok(history);
            }
            if Instant::now() > deadline {
                bail!(
                    "{environment} was not {what} within {} s; {}",
                    PATIENCE.as_secs(),
                    self.why(environment)
                );
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// What somebody would look at first.
    fn why(&self, environment: &str) -> String {
        let application = self.company.application(environment).unwrap_or_default();
        let state = &application["status"];
        let heard = self.company.heard().unwrap_or_default();
        let last: Vec<_> = heard.lines().rev().take(5).collect();
        format!(
            "Argo CD: {} {}, {}; the handler's last words:\n{}",
            state["sync"]["status"],
            state["health"]["status"],
            state["operationState"]["message"],
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }

    fn await_phase(&self, environment: &str, phase: &str) -> anyhow::Result<()> {
        let head = self.script.history(environment)?.tip().to_string();
        let deadline = Instant::now() + PATIENCE;
        loop {
            demand_uninterrupted()?;
            let application = self.company.application(environment).unwrap_or_default();
            let operation = &application["status"]["operationState"];
            let revision = &operation["syncResult"]["revision"];
            if operation["phase"] == *phase && *revision == *head {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "no sync of {environment} is {phase}");
            std::thread::sleep(INTERVAL);
        }
    }

    /// The URL by which the smoke test of the rendered manifests asks.
    fn service(&self) -> anyhow::Result<String> {
        let overlay = self.clone.path(&format!("kustomize/overlays/{STAGING}"));
        let manifests = kustomize::build(&overlay)?.map_err(anyhow::Error::msg)?;
        let objects = Objects::parse(&manifests)?;
        let job = smoke::job(&objects).context("there is no smoke test")?;
        let url = smoke::url(job).context("the smoke test asks no service")?;
        Ok(url.to_owned())
    }

    fn await_visitors(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for environment in [STAGING, PRODUCTION] {
            while self.company.visited(environment).map_or(0, |lines| lines.len()) < 2 {
                demand_uninterrupted()?;
                ensure!(Instant::now() < deadline, "visitors of {environment} see nothing");
                std::thread::sleep(INTERVAL);
            }
        }
        self.say(format_args!("visitors ask each environment {} times a second", self.rate));
        Ok(())
    }

    /// What visitors saw since this was asked last.
    fn seen(&self, environment: &str) -> anyhow::Result<Seen> {
        std::thread::sleep(TOLD);
        let lines = self.company.visited(environment)?;
        let mut read = self.read.borrow_mut();
        let read = read.entry(environment.to_owned()).or_default();
        let mut seen = Seen::default();
        let new = lines.into_iter().skip(*read);
        for line in new {
            *read += 1;
            seen.absorb(line);
        }
        self.say(format_args!("{environment} meanwhile: {seen}"));
        Ok(seen)
    }

    fn demand_undisturbed(&self, environment: &str) -> anyhow::Result<()> {
        self.seen(environment)?.demand_undisturbed(environment)
    }
}

fn demand_uninterrupted() -> anyhow::Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::SeqCst), "interrupted");
    Ok(())
}
