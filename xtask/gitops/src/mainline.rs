//! [`Mainline`]: main as something that many write to. [`handle`] and [`publish`] are the only way to
//! change it: look, decide, build, admit, and compare-and-swap; whoever loses looks again. Nothing is
//! forced, nothing is rebased, and being killed between any two steps leaves nothing half done.

use std::sync::Arc;

use crate::admit::{Admitted, Evidence, ImageCheck, RenderInputs, admit};
use crate::decide::{Action, decide};
use crate::event::Event;
use crate::guards::Guard;
use crate::history::History;
use crate::image_reference::ImageReference;
use crate::object_id::CommitId;
use crate::page::Page;
use crate::plan::{Plan, Target};
use crate::signing::Demand;
use crate::snapshot::Snapshot;

/// Tries of one publication, the first included.
pub const TRIES: u32 = 5;

pub trait Mainline {
    type Error;

    /// Main as it is now, where everybody pushes to.
    fn load(&mut self) -> Result<Arc<Snapshot>, Self::Error>;

    /// Makes the plan's commit, reachable from nowhere.
    fn build(&mut self, plan: &Plan) -> Result<Built, Self::Error>;

    /// All or nothing. A branch moves only forward, a mark is only created.
    fn push(&mut self, updates: &[Update]) -> Result<Push, Self::Error>;

    /// Waits before the next try, so that two racers part.
    fn back_off(&mut self, lost: u32);
}

#[derive(Debug, Clone)]
pub struct Built {
    pub commit: CommitId,
    pub touched: Vec<String>,
    pub inputs: RenderInputs,
    pub promised: Option<RenderInputs>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub reference: String,
    pub to: CommitId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    Done,
    /// Somebody was first.
    Lost,
}

pub const MAIN: &str = "refs/heads/main";

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub plan: Plan,
    /// None where only marks were made.
    pub commit: Option<CommitId>,
    pub tries: u32,
}

/// Looks up whether an image may be run.
pub type Images<'a> = dyn FnMut(&ImageReference, Demand<'_>) -> ImageCheck + 'a;

/// Computes a plan on main as it is and makes it true, again and again until nobody was in between.
pub fn publish<M: Mainline>(
    mainline: &mut M,
    images: &mut Images<'_>,
    mut plan: impl FnMut(&Arc<Snapshot>) -> Result<Plan, Guard>,
) -> Result<Result<Published, Guard>, M::Error> {
    for tries in 1..=TRIES {
        let snapshot = mainline.load()?;
        let plan = match plan(&snapshot) {
            Ok(plan) => plan,
            Err(guard) => return Ok(Err(guard)),
        };
        match attempt(mainline, images, snapshot.signing(), &plan)? {
            Attempt::Done(commit) => return Ok(Ok(Published { plan, commit, tries })),
            Attempt::Refused(guard) => return Ok(Err(guard)),
            Attempt::Lost if tries < TRIES => mainline.back_off(tries),
            Attempt::Lost => {}
        }
    }
    Ok(Err(Guard::Contended))
}

/// What became of an event. A page, if there is one, is for the caller to deliver.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub action: Action,
    pub published: Option<Published>,
}

/// The one path of every event, whoever received it.
pub fn handle<M: Mainline>(
    mainline: &mut M,
    images: &mut Images<'_>,
    event: &Event,
) -> Result<Outcome, M::Error> {
    handle_by(mainline, images, event, &mut decide)
}

/// [`handle`] by another judge: the tests' way to switch off a cure.
pub fn handle_by<M: Mainline>(
    mainline: &mut M,
    images: &mut Images<'_>,
    event: &Event,
    judge: &mut dyn FnMut(&History, &Event) -> Action,
) -> Result<Outcome, M::Error> {
    let mut last = None;
    let published = publish(mainline, images, |snapshot| {
        let history = snapshot.history(&event.environment);
        let action = judge(&history, event);
        let plan = action.plan().cloned();
        let stopped = action.guard().unwrap_or(Guard::NothingToDo);
        last = Some((action, history));
        plan.ok_or(stopped)
    })?;
    let (action, history) = last.expect("a publication computes its plan at least once");
    match published {
        Ok(published) => Ok(Outcome { action, published: Some(published) }),
        Err(guard) if action.plan().is_some() => {
            let action = Action::Page(Page::new(guard, &history, event));
            Ok(Outcome { action, published: None })
        }
        Err(_) => Ok(Outcome { action, published: None }),
    }
}

enum Attempt {
    Done(Option<CommitId>),
    Refused(Guard),
    Lost,
}

fn attempt<M: Mainline>(
    mainline: &mut M,
    images: &mut Images<'_>,
    demand: Demand<'_>,
    plan: &Plan,
) -> Result<Attempt, M::Error> {
    if plan.target == Target::MarksOnly {
        return Ok(match mainline.push(&updates(plan, None))? {
            Push::Done => Attempt::Done(None),
            Push::Lost => Attempt::Lost,
        });
    }
    let built = mainline.build(plan)?;
    let evidence = Evidence {
        touched: built.touched,
        inputs: built.inputs,
        promised: built.promised,
        image: plan.image.as_ref().map(|image| images(image, demand)),
    };
    let admitted = match admit(plan, &evidence) {
        Ok(admitted) => admitted,
        Err(guard) => return Ok(Attempt::Refused(guard)),
    };
    push_admitted(mainline, &admitted, built.commit)
}

fn push_admitted<M: Mainline>(
    mainline: &mut M,
    admitted: &Admitted,
    commit: CommitId,
) -> Result<Attempt, M::Error> {
    Ok(match mainline.push(&updates(admitted.plan(), Some(commit)))? {
        Push::Done => Attempt::Done(Some(commit)),
        Push::Lost => Attempt::Lost,
    })
}

fn updates(plan: &Plan, commit: Option<CommitId>) -> Vec<Update> {
    let main = commit.filter(|_| plan.target == Target::Main);
    let main = main.map(|to| Update { reference: MAIN.to_owned(), to });
    let marks = plan.references(commit).into_iter();
    main.into_iter().chain(marks.map(|(reference, to)| Update { reference, to })).collect()
}
