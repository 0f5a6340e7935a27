//! What each step does.

use std::fmt::Debug;

use contract::digest::Digest;
use jiff::SignedDuration;

use super::{World, config};
use crate::environment::{Environment, HOLDS};
use crate::event::Event;
use crate::history::History;
use crate::holds::Quarantine;
use crate::mainline::{handle_by, publish};
use crate::object_id::ObjectId;
use crate::pin::Pin;
use crate::plan::{self, Selector};
use crate::simulation::argo::{CONFIGS, IMAGES, files};
use crate::simulation::faults::Mishap;
use crate::simulation::steps::What;
use crate::simulation::{Dice, Edit, Sandbox};

impl<M: Sandbox<Error: Debug>> World<'_, M> {
    pub(super) fn step(&mut self, what: What, dice: &mut Dice) {
        let environment = self.pick_environment(dice);
        match what {
            What::Begin => self.begin(dice),
            What::Release => self.release(dice),
            What::ReleaseAgain => self.release_again(dice),
            What::Promote => self.promote(dice),
            What::RollBackByHand => self.roll_back_by_hand(&environment, dice),
            What::EditBase => self.edit_config(1, &environment, dice),
            What::EditOverlay => self.edit_config(2, &environment, dice),
            What::EditDocs => self.edit("docs/notes.md", &dice.roll().to_string()),
            What::EditPin => self.edit_pin(&environment, dice),
            What::RevertTheRollback => self.revert_the_rollback(&environment),
            What::MergeProposal => self.merge_proposal(),
            What::Freeze => {
                let now = self.now;
                self.command("freeze", 0, |snapshot| {
                    plan::freeze(&snapshot.history(&environment), "by hand", now)
                });
            }
            What::Unfreeze => {
                self.command("unfreeze", 0, |snapshot| {
                    plan::unfreeze(&snapshot.history(&environment), "by hand")
                });
            }
            What::Lift => self.lift(&environment),
            What::QuarantineByHand => self.quarantine_by_hand(&environment, dice),
            What::BreakHolds => self.edit(HOLDS, "frozne: []\n"),
            What::MendHolds => self.mend_holds(),
            What::Poll => self.poll(&environment, dice),
            What::Finish => self.finish(&environment, dice),
            What::Settle => self.settle(&environment, dice),
            What::Watch => self.watch(&environment),
            What::Wait => self.pass_time(SignedDuration::from_hours(13)),
            What::Lose => {
                self.take(dice);
            }
            _ => self.deliver_somehow(what, dice),
        }
    }

    /// The newest undelivered event or any other, and the ways to deliver it.
    fn deliver_somehow(&mut self, what: What, dice: &mut Dice) {
        if what == What::DeliverStale {
            if !self.delivered.is_empty() {
                let event = dice.pick(&self.delivered).clone();
                self.deliver(&event, dice, Mishap::None);
            }
            return;
        }
        let Some(event) = self.take(dice) else { return };
        match what {
            What::DeliverTwice => {
                self.deliver(&event, dice, Mishap::None);
                self.deliver(&event, dice, Mishap::None);
            }
            What::Race => self.race(&event, dice),
            What::Intrude => self.intrude(&event, dice),
            What::Kill => {
                let (call, after) = (1 + dice.below(4), dice.percent(50));
                self.deliver(&event, dice, Mishap::Kill { call, after });
            }
            What::Crowd => {
                let mut pushed = Vec::new();
                let mut act =
                    |main: &mut M| pushed.push(main.commit_by_hand("docs: hurry", &[note()]));
                self.deliver(&event, dice, Mishap::Crowd { act: &mut act });
                self.auditor.acknowledge(pushed);
            }
            What::Tamper if dice.percent(50) => self.deliver(&event, dice, Mishap::TouchMore),
            What::Tamper => self.deliver(&event, dice, Mishap::RenderOther),
            What::Stray => {
                let revision = Some(ObjectId::new([0xee; 20]));
                self.deliver(&Event { revision, ..event }, dice, Mishap::None);
            }
            What::Outage => self.deliver_during(&event, dice, Mishap::None, true),
            _ => self.deliver(&event, dice, Mishap::None),
        }
    }

    fn take(&mut self, dice: &mut Dice) -> Option<Event> {
        let waiting = self.outbox.len();
        (waiting > 0).then(|| self.outbox.swap_remove(dice.below(waiting)))
    }

    /// Two handlers at once: of the same event, or of another one.
    fn race(&mut self, event: &Event, dice: &mut Dice) {
        let rival = if dice.percent(50) { None } else { self.take(dice) };
        let rival = rival.unwrap_or_else(|| event.clone());
        let judge = self.judge;
        let mut outcome = None;
        let mut act = |main: &mut M| {
            let mut judge = |history: &History, event: &Event| judge(history, event);
            let done = handle_by(main, &mut super::registry(0), &rival, &mut judge);
            outcome = Some(done.expect("a sandbox can be written"));
        };
        let call = 1 + dice.below(4);
        self.deliver(event, dice, Mishap::Intrude { call, act: &mut act });
        match outcome {
            Some(outcome) => self.record(&rival, &outcome.action, outcome.published.as_ref()),
            None => self.outbox.push(rival),
        }
    }

    /// A human pushes while a handler runs: a fix-forward, a configuration change, a note.
    fn intrude(&mut self, event: &Event, dice: &mut Dice) {
        let environment = event.environment.clone();
        let pin = self.new_pin(dice);
        let [_, base, overlay] = files(&environment);
        let (quality, salt) = (*dice.pick(&CONFIGS), dice.roll());
        let what = dice.below(4);
        let mut pushed = None;
        let mut act = |main: &mut M| match what {
            0 => {
                let fix = publish(main, &mut super::registry(0), |snapshot| {
                    plan::release(&snapshot.history(&environment), &pin)
                });
                let fix = fix.expect("a sandbox can be written");
                pushed = fix.ok().and_then(|published| published.commit);
            }
            1 => {
                let path = if salt.is_multiple_of(2) { base.clone() } else { overlay.clone() };
                let content = Some(config(quality, salt));
                let edit = Edit { path, content };
                pushed = Some(main.commit_by_hand("config: in between", &[edit]));
            }
            2 => {
                let path = environment.pin_file();
                let edit = Edit { path, content: Some(pin.to_yaml()) };
                pushed = Some(main.commit_by_hand("pin: in between", &[edit]));
            }
            _ => pushed = Some(main.commit_by_hand("docs: in between", &[note()])),
        };
        let call = 1 + dice.below(4);
        self.deliver(event, dice, Mishap::Intrude { call, act: &mut act });
        self.auditor.acknowledge(pushed);
    }

    fn new_pin(&mut self, dice: &mut Dice) -> Pin {
        self.images += 1;
        let quality = if dice.percent(50) { "good" } else { *dice.pick(&IMAGES) };
        numbered_pin(quality, self.images)
    }

    fn begin(&mut self, dice: &mut Dice) {
        self.images += 1;
        let pin = numbered_pin("good", self.images);
        for environment in [self.staging(), self.production()] {
            self.command("release", 0, |snapshot| {
                plan::release(&snapshot.history(&environment), &pin)
            });
            self.settle(&environment, dice);
        }
    }

    fn release(&mut self, dice: &mut Dice) {
        let pin = self.new_pin(dice);
        let outage = if dice.percent(5) { dice.below(3) + 1 } else { 0 };
        let environment =
            if dice.percent(70) { self.staging() } else { self.pick_environment(dice) };
        self.command("release", outage, |snapshot| {
            plan::release(&snapshot.history(&environment), &pin)
        });
    }

    fn release_again(&mut self, dice: &mut Dice) {
        let environment = self.pick_environment(dice);
        let history = self.history(&environment);
        let pins: Vec<Pin> =
            history.rendered().filter_map(|change| history.pinned(change).pin().cloned()).collect();
        if pins.is_empty() {
            return;
        }
        let pin = dice.pick(&pins).clone();
        self.command("release", 0, |snapshot| plan::release(&snapshot.history(&environment), &pin));
    }

    fn promote(&mut self, dice: &mut Dice) {
        let (from, to) = (self.staging(), self.production());
        // Most wait for staging's verdict, and some look at production afterwards.
        if dice.percent(60) {
            self.settle(&from, dice);
        }
        let outage = if dice.percent(5) { dice.below(3) + 1 } else { 0 };
        self.command("promote", outage, |snapshot| {
            plan::promote(&snapshot.history(&from), &snapshot.history(&to))
        });
        if dice.percent(40) {
            self.settle(&to, dice);
        }
    }

    fn settle(&mut self, environment: &Environment, dice: &mut Dice) {
        self.poll(environment, dice);
        self.finish(environment, dice);
        self.deliver_all(dice);
    }

    fn roll_back_by_hand(&mut self, environment: &Environment, dice: &mut Dice) {
        let to = match dice.below(3) {
            0 => Selector::Version(format!("1.{}.0", dice.below(9))),
            _ => Selector::Newest,
        };
        self.command("rollback", 0, |snapshot| {
            plan::rollback(&snapshot.history(environment), &to, "by hand")
        });
    }

    fn edit(&mut self, path: &str, content: &str) {
        let edit = Edit { path: path.to_owned(), content: Some(content.to_owned()) };
        self.by_hand(&format!("edit {path}"), &[edit]);
    }

    fn edit_config(&mut self, file: usize, environment: &Environment, dice: &mut Dice) {
        let quality = if dice.percent(50) { "good" } else { *dice.pick(&CONFIGS) };
        let path = files(environment)[file].clone();
        self.edit(&path, &config(quality, dice.below(5) as u64));
    }

    fn edit_pin(&mut self, environment: &Environment, dice: &mut Dice) {
        let path = environment.pin_file();
        let tip = self.snapshot().tip();
        let files = self.main.read(tip, std::slice::from_ref(&path));
        let text = files.into_iter().next().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let content = match dice.below(6) {
            0 => Some(format!("# {}\n{text}", dice.below(100))),
            1 => Some(format!("{text}<<<<<<< HEAD\n")),
            2 => Some(format!("{text}namePrefix: x-\n")),
            3 => None,
            _ => Some(self.new_pin(dice).to_yaml()),
        };
        self.by_hand(&format!("edit {path}"), &[Edit { path, content }]);
    }

    /// `git revert` of the newest rollback: the version is back and its quarantine is lifted.
    fn revert_the_rollback(&mut self, environment: &Environment) {
        let history = self.history(environment);
        let Some(rollback) = history.rendered().find(|change| change.rollback_of().is_some())
        else {
            return;
        };
        let Some(undone) = rollback.rollback_of() else { return };
        let id = rollback.commit;
        let paths = [environment.pin_file(), HOLDS.to_owned()];
        let old = self.main.read(undone, &paths);
        let edits = paths.into_iter().zip(old).map(|(path, content)| Edit {
            path,
            content: content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        });
        let edits: Vec<_> = edits.collect();
        let title = format!("Revert \"rollback\"\n\nThis reverts commit {id}.");
        self.by_hand(&title, &edits);
    }

    fn merge_proposal(&mut self) {
        let Some((environment, good)) = self.proposals.pop() else { return };
        let [pin, base, overlay] = files(&environment);
        let old = self.main.read(good, &[pin.clone(), base.clone(), overlay.clone()]);
        let edits = [pin, base, overlay].into_iter().zip(old).map(|(path, content)| Edit {
            path,
            content: content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        });
        let edits: Vec<_> = edits.collect();
        self.by_hand("merge the proposal", &edits);
    }

    fn lift(&mut self, environment: &Environment) {
        let history = self.history(environment);
        let held = history.holds().ok().and_then(|holds| holds.quarantined.first());
        let digest = held.map_or(Digest::of(b"nothing"), |hold| hold.digest);
        self.command("lift", 0, |snapshot| {
            plan::lift(&snapshot.history(environment), digest, "by hand")
        });
    }

    /// Somebody found out later that an image is bad.
    fn quarantine_by_hand(&mut self, environment: &Environment, dice: &mut Dice) {
        let history = self.history(environment);
        let released: Vec<_> =
            history.rendered().filter(|change| history.pinned(change).pin().is_some()).collect();
        if released.is_empty() {
            return;
        }
        let change = dice.pick(&released);
        let pinned = history.pinned(change);
        let (Some(pin), Ok(holds)) = (pinned.pin(), history.holds()) else { return };
        let holds = holds.clone().with_quarantine(Quarantine {
            digest: pin.image.digest(),
            environment: environment.name().to_owned(),
            change: change.commit,
            reason: "by hand".to_owned(),
            since: self.now,
        });
        self.edit(HOLDS, &holds.to_yaml());
    }

    fn mend_holds(&mut self) {
        if self.snapshot().holds().is_err() {
            self.by_hand("mend holds", &[Edit { path: HOLDS.to_owned(), content: None }]);
        }
    }

    fn staging(&self) -> Environment {
        self.clusters.keys().last().expect("there are two environments").clone()
    }

    fn production(&self) -> Environment {
        self.clusters.keys().next().expect("there are two environments").clone()
    }
}

fn note() -> Edit {
    Edit { path: "docs/notes.md".to_owned(), content: Some("in between\n".to_owned()) }
}

fn numbered_pin(quality: &str, number: u64) -> Pin {
    let name = format!("{quality}-{number}");
    let digest = Digest::of(name.as_bytes());
    Pin {
        image: format!("registry.example/api:{name}@{digest}").parse().expect("well-formed"),
        app_version: format!("1.{number}.0").parse().expect("well-formed"),
        model_digest: Digest::of(format!("model {name}").as_bytes()),
    }
}
