//! The acts. Each says what it shows, does it by the very commands that people and workflows use, and
//! checks that it came out so.

use std::time::Instant;

use anyhow::ensure;
use contract::artifact::Artifact;
use gitops::verdict::Verdict;

use crate::deliver::{audit, history, promote, status};
use crate::operate::rehearsal::live::Live;
use crate::operate::rehearsal::script::{PRODUCTION, STAGING, Script};
use crate::operate::visitor::Visitor;
use crate::report::data;

pub(super) struct Performance<'a, 'p> {
    pub(super) script: Script<'a>,
    pub(super) live: &'a Live<'a, 'p, 2>,
}

impl<'p> Performance<'_, 'p> {
    pub(super) fn play(&self) -> anyhow::Result<()> {
        self.script
            .transcript
            .say("no cluster here: xtask itself stands in for Argo CD and Kubernetes");
        let good = self.a_good_release_goes_live()?;
        self.a_release_that_crashes_is_reverted(&good)?;
        self.a_wrong_model_is_caught_and_quarantined()?;
        self.a_fix_forward_is_left_alone(&good)?;
        self.epilogue()
    }

    fn a_good_release_goes_live(&self) -> anyhow::Result<Artifact> {
        let act = self.script.transcript;
        act.act("Act 1: a good release is smoked, verified, promoted, and live");
        let artifact = self.script.workshop.good(0)?;
        let metrics = &artifact.manifest().metrics;
        act.say(format_args!("trained: {:.2} % of test images right", 100.0 * metrics.accuracy));
        self.script.release(&artifact)?;
        self.script.handle(&self.live.next_event()?)?;
        self.script.demand_verified(STAGING)?;
        self.staging().begin()?;

        let promotion = promote::Args {
            from: STAGING.to_owned(),
            to: PRODUCTION.to_owned(),
            publication: self.script.stage.publication(),
        };
        promotion.run(self.script.repo)?;
        self.script.handle(&self.live.next_event()?)?;
        self.script.demand_verified(PRODUCTION)?;
        self.production().begin()?;
        let answer = self.production().ask_once()?;
        act.say(format_args!("production answers `{}` by {}", answer.name, answer.model_version));
        ensure!(answer.is_right, "production answers wrongly");

        act.say("and when its process is killed, it comes back; that proves nothing, so nothing is marked");
        let marks = self.script.history(STAGING)?;
        self.live.kill(0)?;
        self.live.demand_silence("self-heal reported a deployment")?;
        ensure!(self.script.history(STAGING)?.tip() == marks.tip(), "self-heal moved main");
        self.staging().take();
        Ok(artifact)
    }

    fn a_release_that_crashes_is_reverted(&self, good: &Artifact) -> anyhow::Result<()> {
        let act = self.script.transcript;
        act.act("Act 2: a release that crashes is reverted, and the old one serves all the while");
        let broken = self.script.workshop.broken(good)?;
        self.script.pin_past_the_gate(&broken, "broken")?;
        let before = self.script.history(STAGING)?;
        let event = self.live.next_event()?;
        self.script.handle(&event)?;
        let after = self.script.demand_rolled_back(&before, Verdict::RolloutFailed)?;
        ensure!(
            after.holds().is_ok_and(|holds| holds.quarantined.is_empty()),
            "a crash condemned an image"
        );
        act.say("the same report a second time:");
        self.script.handle(&event)?;
        ensure!(self.script.history(STAGING)?.tip() == after.tip(), "a report was handled twice");
        self.script.handle(&self.live.next_event()?)?;
        self.script.demand_verified(STAGING)?;
        let seen = self.staging().take();
        act.say(format_args!("staging meanwhile: {seen}"));
        seen.demand_undisturbed(STAGING)
    }

    fn a_wrong_model_is_caught_and_quarantined(&self) -> anyhow::Result<()> {
        let act = self.script.transcript;
        act.act(
            "Act 3: a model that is healthy and wrong is caught by the probes, and quarantined",
        );
        let ignorant = self.script.workshop.ignorant()?;
        act.say("the gate sees it at once:");
        self.script.demand_refused(
            self.script.release_args(&ignorant).run(self.script.repo),
            "the gate refuses",
        )?;
        let pin = self.script.pin_past_the_gate(&ignorant, "ignorant")?;
        let pinned = Instant::now();
        let before = self.script.history(STAGING)?;
        self.script.handle(&self.live.next_event()?)?;
        act.say(format_args!("from pin to revert: {:.1} s", pinned.elapsed().as_secs_f64()));
        let after = self.script.demand_rolled_back(&before, Verdict::ModelWrong)?;
        ensure!(after.is_held(pin.image.digest()), "a wrong model was not quarantined");
        self.script.handle(&self.live.next_event()?)?;
        self.script.demand_verified(STAGING)?;
        act.say(format_args!("from pin to verified: {:.1} s", pinned.elapsed().as_secs_f64()));
        let seen = self.staging().take();
        act.say(format_args!("staging meanwhile: {seen}"));
        ensure!(seen.wrong > 0, "nobody saw the wrong model");
        ensure!(seen.lost == 0, "requests were lost");
        act.say("and whoever tries the same image again:");
        self.script.demand_refused(self.script.publish(&pin), "quarantined")
    }

    fn a_fix_forward_is_left_alone(&self, good: &Artifact) -> anyhow::Result<()> {
        let act = self.script.transcript;
        act.act("Act 4: a fix-forward overtakes a failure, and nothing is reverted");
        let fix = self.script.workshop.good(1)?;
        let broken = self.script.workshop.broken(good)?;
        self.script.pin_past_the_gate(&broken, "broken-again")?;
        act.say("before it is given up, the fix is pushed:");
        self.script.release(&fix)?;
        self.live.demand_silence("the failure was reported before its fix was pushed")?;
        let before = self.script.history(STAGING)?;
        self.script.handle(&self.live.next_event()?)?;
        ensure!(
            self.script.history(STAGING)?.tip() == before.tip(),
            "a superseded change was reverted"
        );
        self.script.handle(&self.live.next_event()?)?;
        self.script.demand_verified(STAGING)?;
        let answer = self.staging().ask_once()?;
        ensure!(
            answer.model_version == fix.manifest().model_version.as_str(),
            "the fix is not live"
        );
        Ok(())
    }

    fn epilogue(&self) -> anyhow::Result<()> {
        let remote = || self.script.stage.publication().remote;
        self.script.transcript.act("What main says now");
        data(self.script.stage.log(&["--format=%h %s"])?.trim_end());
        data("");
        status::Args { remote: remote() }.run(self.script.repo)?;
        data("");
        let staging = Some(STAGING.to_owned());
        let history =
            history::Args { environment: staging, json: false, limit: None, remote: remote() };
        history.run(self.script.repo)?;
        data("");
        audit::Args { remote: remote() }.run(self.script.repo)?;
        let seen = self.production().take();
        self.script.transcript.say(format_args!("production all the while: {seen}"));
        seen.demand_undisturbed(PRODUCTION)?;
        data("");
        for act in [
            "1. a good release was smoked, verified, promoted, and is live",
            "2. a crash was reverted on main, and the old version served all the while",
            "3. a healthy but wrong model was reverted on main, and its image quarantined",
            "4. a fix-forward overtook a failure, and nothing was reverted",
        ] {
            data(act);
        }
        Ok(())
    }

    fn staging(&self) -> &Visitor<'p> {
        self.live.visitors[0]
    }

    fn production(&self) -> &Visitor<'p> {
        self.live.visitors[1]
    }
}
