//! A short history told step by step: one mainline, mostly its staging.

use gitops::admit::{ImageCheck, Signature};
use gitops::decide::{Action, decide};
use gitops::environment::{Environment, Part};
use gitops::event::{Event, Observation};
use gitops::guards::Guard;
use gitops::history::History;
use gitops::mainline::{Mainline, Published, handle_by, publish};
use gitops::object_id::{CommitId, ObjectId};
use gitops::pin::Pin;
use gitops::plan::{self, Plan, Selector};
use gitops::simulation::faults::{Faulty, Mishap};
use gitops::simulation::memory::Memory;
use gitops::simulation::world::{beginning, first_files};
use gitops::simulation::{Edit, Sandbox};

pub(crate) struct Story {
    main: Memory,
    image: ImageCheck,
}

fn environment(name: &str) -> Environment {
    match Part::of(&format!("kustomize/overlays/{name}/release/kustomization.yaml")) {
        Part::Pin(environment) => environment,
        part => panic!("{part:?}"),
    }
}

pub(crate) fn pin(version: &str) -> Pin {
    let digest = contract::digest::Digest::of(version.as_bytes());
    Pin {
        image: format!("registry.example/api:{version}@{digest}").parse().unwrap(),
        app_version: version.parse().unwrap(),
        model_digest: digest,
    }
}

impl Story {
    pub(crate) fn new() -> Self {
        let main = Memory::new(&first_files(), beginning());
        Self { main, image: ImageCheck::Present(Signature::NotRequired) }
    }

    pub(crate) fn images(&mut self, image: ImageCheck) -> &mut Self {
        self.image = image;
        self
    }

    fn history(&mut self, name: &str) -> History {
        self.main.load().unwrap().history(&environment(name))
    }

    pub(crate) fn tip(&mut self) -> CommitId {
        self.main.load().unwrap().tip()
    }

    pub(crate) fn commit_before(&mut self, commit: CommitId) -> CommitId {
        let (log, ..) = self.main.evidence();
        let position = log.iter().position(|logged| logged.id == commit).unwrap();
        log[position - 1].id
    }

    pub(crate) fn version(&mut self) -> String {
        let history = self.history("staging");
        let pinned = history.pinned(history.head().unwrap());
        pinned.pin().unwrap().app_version.as_str().to_owned()
    }

    fn command(
        &mut self,
        plan: impl Fn(&History, &History) -> Result<Plan, Guard>,
    ) -> Result<Published, Guard> {
        let image = self.image;
        let both = |name: &str| environment(name);
        publish(&mut self.main, &mut |_, _| image, |snapshot| {
            plan(&snapshot.history(&both("staging")), &snapshot.history(&both("production")))
        })
        .unwrap()
    }

    pub(crate) fn release(&mut self, version: &str) {
        self.try_release(version).unwrap();
    }

    pub(crate) fn try_release(&mut self, version: &str) -> Result<Published, Guard> {
        self.command(|staging, _| plan::release(staging, &pin(version)))
    }

    pub(crate) fn promote(&mut self) -> Result<Published, Guard> {
        self.command(plan::promote)
    }

    pub(crate) fn roll_back(&mut self, to: &Selector) -> Result<Plan, Guard> {
        let done = self.command(|staging, _| plan::rollback(staging, to, "by hand"));
        done.map(|published| published.plan)
    }

    pub(crate) fn freeze(&mut self) {
        self.command(|staging, _| plan::freeze(staging, "by hand", beginning())).unwrap();
    }

    pub(crate) fn edit(&mut self, path: &str, content: &str) -> CommitId {
        let edit = Edit { path: path.to_owned(), content: Some(content.to_owned()) };
        self.main.commit_by_hand(&format!("edit {path}"), &[edit])
    }

    pub(crate) fn edit_config(&mut self, content: &str) -> CommitId {
        self.edit("kustomize/base/config.yaml", content)
    }

    pub(crate) fn edit_pin(&mut self, content: &str) {
        self.edit(&environment("staging").pin_file(), content);
    }

    pub(crate) fn report(&mut self, observation: Observation) -> Action {
        let tip = self.tip();
        self.report_at(tip, observation)
    }

    pub(crate) fn report_at(&mut self, revision: CommitId, observation: Observation) -> Action {
        self.deliver(Some(revision), Mishap::None, observation)
    }

    pub(crate) fn report_stray(&mut self, observation: Observation) -> Action {
        self.report_at(ObjectId::new([0xee; 20]), observation)
    }

    pub(crate) fn report_nowhere(&mut self, observation: Observation) -> Action {
        self.deliver(None, Mishap::None, observation)
    }

    pub(crate) fn report_with(
        &mut self,
        mishap: Mishap<'_, Memory>,
        observation: Observation,
    ) -> Action {
        let tip = self.tip();
        self.deliver(Some(tip), mishap, observation)
    }

    pub(crate) fn report_in_a_crowd(&mut self, observation: Observation) -> Action {
        let mut count = 0;
        let mut act = |main: &mut Memory| {
            count += 1;
            let edit = Edit { path: "docs/x.md".to_owned(), content: Some(format!("{count}\n")) };
            main.commit_by_hand("docs", &[edit]);
        };
        self.report_with(Mishap::Crowd { act: &mut act }, observation)
    }

    fn deliver(
        &mut self,
        revision: Option<CommitId>,
        mishap: Mishap<'_, Memory>,
        observation: Observation,
    ) -> Action {
        let event = Event {
            environment: environment("staging"),
            revision,
            observed_at: beginning(),
            observation,
            evidence: vec!["it was seen".to_owned()],
        };
        let image = self.image;
        let mut main = Faulty { main: &mut self.main, mishap, calls: 0 };
        let outcome = handle_by(&mut main, &mut |_, _| image, &event, &mut decide);
        outcome.map_or_else(|_| panic!("memory cannot fail"), |outcome| outcome.action)
    }
}
