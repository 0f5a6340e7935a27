//! [`Performance`]: what acts on a cluster are made of. Reports go from Argo CD to the handler in its pod
//! without us: what an act waits for is what main says, and what the visitors saw.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use gitops::history::History;
use gitops::verdict::Verdict;

use super::company::Company;
use crate::deliver::promote;
use crate::operate::rehearsal::demand_uninterrupted;
use crate::operate::rehearsal::script::{PRODUCTION, STAGING, Script};
use crate::operate::visitor::Seen;
use crate::rendered::{Objects, smoke};
use crate::repo::Repo;
use crate::tools::kustomize;

pub(super) struct Performance<'a> {
    pub(super) script: Script<'a>,
    pub(super) company: &'a Company,
    pub(super) clone: &'a Repo,
    /// Labelled pictures, for the visitors.
    probes: String,
    /// Of questions, per second and environment.
    rate: u32,
    /// How many of a visitor's lines were read.
    read: RefCell<BTreeMap<String, usize>>,
    /// Time steps that the end tells.
    pub(super) steps: RefCell<Vec<(String, f64)>>,
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
    /// What everything of the demo begins with.
    pub(super) fn company_name(&self) -> &str {
        self.company.name()
    }

    pub(super) fn act(&self, title: &str) {
        self.act.set(self.act.get() + 1);
        self.script.transcript.act(&format!("Act {}: {title}", self.act.get()));
    }

    pub(super) fn say(&self, what: impl std::fmt::Display) {
        self.script.transcript.say(what);
    }

    pub(super) fn note(&self, step: &str, since: Instant) {
        let seconds = since.elapsed().as_secs_f64();
        self.say(format_args!("{step}: {seconds:.1} s"));
        self.steps.borrow_mut().push((format!("act {}: {step}", self.act.get()), seconds));
    }

    pub(super) fn promote(&self) -> anyhow::Result<()> {
        let promotion = promote::Args {
            from: STAGING.to_owned(),
            to: PRODUCTION.to_owned(),
            publication: self.script.stage.publication(),
        };
        promotion.run(self.script.repo)
    }

    pub(super) fn await_verified(&self, environment: &str, step: &str) -> anyhow::Result<History> {
        let began = Instant::now();
        let history = self.await_main(environment, "verified", |history| {
            history.head().is_some_and(|head| history.is_verified(head))
        })?;
        self.note(&format!("{environment}: {step}"), began);
        Ok(history)
    }

    pub(super) fn await_rollback(&self, verdict: Verdict) -> anyhow::Result<History> {
        let began = Instant::now();
        let after = self.await_rollback_of(&self.script.history(STAGING)?, verdict)?;
        self.note("bad pin on main to revert on main", began);
        Ok(after)
    }

    /// Of what staging pinned then.
    pub(super) fn await_rollback_of(
        &self,
        before: &History,
        verdict: Verdict,
    ) -> anyhow::Result<History> {
        let undone = before.head().context("staging was never released")?.commit;
        self.await_main(STAGING, "rolled back", |history| {
            history.head().is_some_and(|head| head.rollback_of() == Some(undone))
        })?;
        self.script.demand_rolled_back(before, verdict)
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

    pub(super) fn await_phase(&self, environment: &str, phase: &str) -> anyhow::Result<()> {
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

    /// One to each environment; until each was answered.
    pub(super) fn send_visitors(&self) -> anyhow::Result<()> {
        let service = self.service()?;
        for environment in [STAGING, PRODUCTION] {
            self.company.send_visitor(environment, &service, &self.probes, self.rate)?;
        }
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
    pub(super) fn seen(&self, environment: &str) -> anyhow::Result<Seen> {
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

    pub(super) fn demand_undisturbed(&self, environment: &str) -> anyhow::Result<()> {
        self.seen(environment)?.demand_undisturbed(environment)
    }
}

pub(super) fn pause(time: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        demand_uninterrupted()?;
        std::thread::sleep(INTERVAL.min(end.saturating_duration_since(Instant::now())));
    }
    Ok(())
}
