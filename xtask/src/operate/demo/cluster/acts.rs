//! The acts on a cluster.

use std::time::Instant;

use anyhow::ensure;
use contract::artifact::Artifact;
use gitops::verdict::Verdict;

use super::performance::Performance;
use crate::identity::{APPLICATIONS, PROJECT, ROOT};
use crate::operate::cluster;
use crate::operate::rehearsal::script::{PRODUCTION, STAGING};
use crate::report::data;
use crate::tools::kubectl::Conflicts;

impl Performance<'_> {
    pub(super) fn play(&self) -> anyhow::Result<()> {
        let good = self.a_good_release_goes_live_under_load()?;
        self.a_release_that_crashes_is_reverted(&good)?;
        self.a_wrong_model_is_caught_and_quarantined()?;
        self.a_fix_forward_is_left_alone(&good)?;
        self.epilogue()
    }

    pub(super) fn a_good_release_goes_live_under_load(&self) -> anyhow::Result<Artifact> {
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

        self.send_visitors()?;
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

    pub(super) fn epilogue(&self) -> anyhow::Result<()> {
        self.script.transcript.act("What main says now");
        data(self.script.stage.log(&["--format=%h %s"])?.trim_end());
        let context = self.company.kubectl().context();
        let remote = || self.script.stage.publication().remote;
        self.say(
            "beside it, what the cluster runs; and production's smoke test once more, by hand:",
        );
        cluster::Command::status(context, remote()).run(self.clone)?;
        cluster::Command::smoke(context, PRODUCTION, remote()).run(self.clone)?;
        self.say("where the seconds went:");
        for (step, seconds) in self.steps.borrow().iter() {
            data(format_args!("{seconds:8.1} s  {step}"));
        }
        self.demand_undisturbed(PRODUCTION)
    }
}
