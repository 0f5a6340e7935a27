//! One history: a main, a cluster per environment, events on their way, and an auditor.

mod actions;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::argo::{Cluster, Rendered, event, files};
use super::auditor::{Auditor, Violation};
use super::faults::{Fault, Faulty, Mishap};
use super::steps::Step;
use super::{Dice, Edit, Sandbox};
use crate::admit::{ImageCheck, Signature};
use crate::decide::Action;
use crate::environment::{Environment, Part};
use crate::event::{Event, Observation, Proof};
use crate::guards::Guard;
use crate::history::History;
use crate::image_reference::ImageReference;
use crate::mainline::{Published, handle_by, publish};
use crate::object_id::CommitId;
use crate::pin::{Pin, Pinned};
use crate::plan::{Plan, Target};
use crate::signing::Demand;
use crate::snapshot::Snapshot;

pub type Judge<'a> = &'a dyn Fn(&History, &Event) -> Action;

/// How often each thing was decided.
pub type Counts = BTreeMap<(&'static str, Option<Guard>), usize>;

/// What a history came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    pub counts: Counts,
    /// Every decision in order: what two mainlines must agree on.
    pub decisions: Vec<String>,
    pub commits: usize,
    pub tries: u32,
}

pub struct World<'a, M> {
    main: M,
    judge: Judge<'a>,
    now: Timestamp,
    clusters: BTreeMap<Environment, Cluster>,
    /// On their way, and delivered ones that may come again.
    outbox: Vec<Event>,
    delivered: Vec<Event>,
    /// Commits that proposals want to go back to.
    proposals: Vec<(Environment, CommitId)>,
    /// A human was told of an environment while this Change was its newest.
    told: Vec<(Environment, Option<CommitId>)>,
    auditor: Auditor,
    images: u64,
    report: Report,
}

/// Where every history begins: two environments that have never released.
pub fn first_files() -> Vec<Edit> {
    let file = |path: &str, content: String| Edit { path: path.to_owned(), content: Some(content) };
    let mut edits = vec![file("kustomize/base/config.yaml", config("good", 0))];
    for name in ["production", "staging"] {
        let Part::Pin(environment) = Part::of(&pin_file(name)) else { continue };
        let [pin, _, overlay] = files(&environment);
        edits.push(file(&pin, Pin::unreleased_yaml()));
        edits.push(file(&overlay, config("good", 0)));
    }
    edits
}

fn pin_file(name: &str) -> String {
    format!("kustomize/overlays/{name}/release/kustomization.yaml")
}

fn config(quality: &str, salt: u64) -> String {
    format!("quality: {quality}\nsalt: {salt}\n")
}

pub fn beginning() -> Timestamp {
    Timestamp::from_second(1_795_000_000).expect("2026 is a year that timestamps have")
}

impl<'a, M: Sandbox<Error: Debug>> World<'a, M> {
    pub fn new(main: M, judge: Judge<'a>) -> Self {
        let mut world = Self {
            main,
            judge,
            now: beginning(),
            clusters: BTreeMap::new(),
            outbox: Vec::new(),
            delivered: Vec::new(),
            proposals: Vec::new(),
            told: Vec::new(),
            auditor: Auditor::default(),
            images: 0,
            report: Report::default(),
        };
        let snapshot = world.snapshot();
        let environments = snapshot.environments().iter().cloned();
        world.clusters = environments.map(|name| (name, Cluster::default())).collect();
        world
    }

    pub fn run(mut self, steps: &[Step]) -> Result<Report, Violation> {
        for step in steps {
            self.pass_time(SignedDuration::from_mins(7));
            let mut dice = Dice::new(step.dice);
            self.step(step.what, &mut dice);
            self.audit()?;
        }
        self.settle_for_good()?;
        self.report.commits = self.auditor.commits();
        Ok(self.report)
    }

    fn pass_time(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap_or(self.now);
        self.main.set_clock(self.now);
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        self.main.load().expect("a sandbox can be read")
    }

    fn history(&mut self, environment: &Environment) -> History {
        self.snapshot().history(environment)
    }

    fn audit(&mut self) -> Result<(), Violation> {
        let (log, marks, blobs) = self.main.evidence();
        self.auditor.absorb(log, marks, blobs)
    }

    fn pick_environment(&self, dice: &mut Dice) -> Environment {
        let names: Vec<_> = self.clusters.keys().collect();
        (*dice.pick(&names)).clone()
    }

    fn rendered(&mut self, environment: &Environment, at: CommitId) -> Rendered {
        Rendered::new(self.main.read(at, &files(environment)))
    }

    fn poll(&mut self, environment: &Environment, dice: &mut Dice) {
        let head = self.snapshot().tip();
        let wanted = self.rendered(environment, head);
        let cluster = self.clusters.get_mut(environment).expect("every environment has a cluster");
        if let Some(observation) = cluster.poll(head, wanted) {
            // Argo CD does not say which commit cannot be built; a stand-in may know.
            let revision = dice.percent(60).then_some(head);
            self.outbox.push(event(environment, revision, self.now, observation));
        }
    }

    fn finish(&mut self, environment: &Environment, dice: &mut Dice) {
        let cluster = self.clusters.get_mut(environment).expect("every environment has a cluster");
        let Some((revision, observation)) = cluster.finish(dice) else { return };
        if observation == Observation::Deployed(Proof::SmokePassed) {
            let (log, marks, blobs) = self.main.evidence();
            // A violation shows again at the end of the step.
            if self.auditor.absorb(log, marks, blobs).is_ok() {
                self.auditor.passed(environment.name(), revision);
            }
        }
        let superseded = self.snapshot().tip() != revision;
        let is_failure = matches!(observation, Observation::Failed(_));
        if !(superseded && is_failure && dice.percent(40)) {
            self.outbox.push(event(environment, Some(revision), self.now, observation));
        }
    }

    fn watch(&mut self, environment: &Environment) {
        let head = self.snapshot().tip();
        let wanted = self.rendered(environment, head);
        let cluster = &self.clusters[environment];
        if !cluster.is_running() {
            let now = self.now;
            let seen = cluster.look(head, &wanted).into_iter();
            self.outbox.extend(seen.map(|what| event(environment, Some(head), now, what)));
        }
    }

    fn deliver(&mut self, event: &Event, dice: &mut Dice, mishap: Mishap<'_, M>) {
        let outage = false;
        self.deliver_during(event, dice, mishap, outage);
    }

    fn deliver_during(
        &mut self,
        event: &Event,
        dice: &mut Dice,
        mishap: Mishap<'_, M>,
        outage: bool,
    ) {
        self.delivered.push(event.clone());
        let mut check = registry(if outage { dice.below(3) + 1 } else { 0 });
        let mut main = Faulty { main: &mut self.main, mishap, calls: 0 };
        let mut judge = |history: &History, event: &Event| (self.judge)(history, event);
        let outcome = handle_by(&mut main, &mut check, event, &mut judge);
        match outcome {
            Ok(outcome) => self.record(event, &outcome.action, outcome.published.as_ref()),
            // Whoever sent the event sends it again.
            Err(Fault::Killed) => self.outbox.push(event.clone()),
            Err(Fault::Mainline(error)) => panic!("the sandbox failed: {error:?}"),
        }
    }

    fn record(&mut self, event: &Event, action: &Action, published: Option<&Published>) {
        self.count(action.name(), action.guard());
        self.acknowledge(published);
        self.report.tries += published.map_or(0, |published| published.tries);
        if action.page().is_some() {
            let head = self.history(&event.environment).head().map(|head| head.commit);
            self.told.push((event.environment.clone(), head));
        }
        if let (Action::OpenPullRequest(plan, _), Some(_)) = (action, published) {
            let good = plan.trailers.commit(crate::trailers::Key::Restores);
            self.proposals.extend(good.map(|good| (event.environment.clone(), good)));
        }
    }

    fn acknowledge(&mut self, published: Option<&Published>) {
        let on_main = published.filter(|published| published.plan.target == Target::Main);
        self.auditor.acknowledge(on_main.and_then(|published| published.commit));
    }

    /// A human's commit.
    fn by_hand(&mut self, title: &str, edits: &[Edit]) {
        let commit = self.main.commit_by_hand(title, edits);
        self.auditor.acknowledge([commit]);
    }

    fn count(&mut self, what: &'static str, guard: Option<Guard>) {
        *self.report.counts.entry((what, guard)).or_default() += 1;
        let guard = guard.map_or("", Guard::name);
        self.report.decisions.push(format!("{what} {guard}"));
    }

    /// What a command does.
    fn command(
        &mut self,
        what: &'static str,
        outage: usize,
        plan: impl FnMut(&Arc<Snapshot>) -> Result<Plan, Guard>,
    ) -> Option<Published> {
        let done = publish(&mut self.main, &mut registry(outage), plan);
        match done.expect("a sandbox can be written") {
            Ok(published) => {
                self.acknowledge(Some(&published));
                self.count(what, None);
                Some(published)
            }
            Err(guard) => {
                self.count(what, Some(guard));
                None
            }
        }
    }

    /// From now on everything arrives and nobody interferes: it must come to rest, and where it rests on
    /// something unverified a human was told.
    fn settle_for_good(&mut self) -> Result<(), Violation> {
        const ROUNDS: usize = 12;
        let mut dice = Dice::new(7);
        for _ in 0..ROUNDS {
            let before = (self.auditor.commits(), self.auditor.marks());
            self.pass_time(SignedDuration::from_mins(30));
            for environment in self.clusters.keys().cloned().collect::<Vec<_>>() {
                self.finish(&environment, &mut dice);
                self.poll(&environment, &mut dice);
                self.finish(&environment, &mut dice);
                self.deliver_all(&mut dice);
                self.watch_until_verified(&environment, &mut dice);
            }
            self.audit()?;
            if before == (self.auditor.commits(), self.auditor.marks()) {
                return self.nobody_is_left_in_the_dark();
            }
        }
        Err(Violation(format!("not at rest after {ROUNDS} quiet rounds")))
    }

    /// The switch is let go as soon as the newest Change is verified.
    fn watch_until_verified(&mut self, environment: &Environment, dice: &mut Dice) {
        if self.is_verified(environment) {
            return;
        }
        self.watch(environment);
        for event in std::mem::take(&mut self.outbox) {
            if !self.is_verified(environment) {
                self.deliver(&event, dice, Mishap::None);
            }
        }
    }

    fn deliver_all(&mut self, dice: &mut Dice) {
        for event in std::mem::take(&mut self.outbox) {
            self.deliver(&event, dice, Mishap::None);
        }
    }

    fn is_verified(&mut self, environment: &Environment) -> bool {
        let history = self.history(environment);
        history.head().is_some_and(|head| history.is_verified(head))
    }

    fn nobody_is_left_in_the_dark(&mut self) -> Result<(), Violation> {
        for environment in self.clusters.keys().cloned().collect::<Vec<_>>() {
            let history = self.history(&environment);
            let head = history.head();
            let released = head.is_some_and(|head| history.pinned(head) != Pinned::Unreleased);
            let subject = (environment, head.map(|head| head.commit));
            let known = head.is_some_and(|head| history.is_verified(head));
            if released && !known && !self.told.contains(&subject) {
                let text = format!("{subject:?} is not verified, and nobody was told");
                return Err(Violation(text));
            }
        }
        Ok(())
    }
}

/// 0: all is well; otherwise one of the ways in which an image cannot be relied on.
fn registry(outage: usize) -> impl FnMut(&ImageReference, Demand<'_>) -> ImageCheck {
    move |_, _| match outage {
        0 => ImageCheck::Present(Signature::Valid),
        1 => ImageCheck::Missing,
        2 => ImageCheck::Unchecked,
        _ => ImageCheck::Present(Signature::Invalid),
    }
}
