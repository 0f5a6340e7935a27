//! A model goes out that is healthy and wrong. The probes find it, main is reverted, and the old one answers again.

use anyhow::ensure;
use gitops::verdict::Verdict;

use super::{Recovery, Scene};
use crate::operate::rehearsal::script::STAGING;

pub(super) fn play(scene: &Scene<'_>) -> anyhow::Result<Recovery> {
    scene.while_staging_runs(
        |workshop| workshop.good(0),
        |script, live| {
            let visitor = live.visitors[0];
            let before = visitor.ask_all()?;
            let ignorant = script.workshop.ignorant()?;
            let pin = script.image_past_the_gate(&ignorant, "ignorant")?;
            visitor.take();
            let mut recovery = Recovery::begin(scene, "a good model: a wrong one is on main");
            script.publish(&pin)?;
            let change = script.history(STAGING)?;
            script.handle(&live.next_event()?)?;
            recovery.reached("main is reverted");
            script.demand_rolled_back(&change, Verdict::ModelWrong)?;
            script.handle(&live.next_event()?)?;
            script.demand_verified(STAGING)?;
            recovery.reached("the model before it is back and verified");
            let seen = visitor.take();
            ensure!(visitor.ask_all()? == before, "it answers something else than before");
            recovery.reached("it answers as before, to every probe");
            ensure!(seen.wrong > 0, "nobody saw the wrong model");
            ensure!(seen.lost == 0, "requests were lost");
            let (wrong, time) = (seen.wrong, seen.wrong_for().as_secs_f64());
            let answers = seen.answered();
            Ok(recovery.end(format!(
                "no request; {wrong} of {answers} answers were wrong, within {time:.1} s"
            )))
        },
    )
}
