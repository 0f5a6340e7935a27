//! The process that serves is killed. Whoever keeps it running starts it again, and main does not move.

use anyhow::ensure;

use super::{Recovery, Scene};
use crate::operate::rehearsal::script::STAGING;

pub(super) fn play(scene: &Scene<'_>) -> anyhow::Result<Recovery> {
    scene.while_staging_runs(
        |workshop| workshop.good(0),
        |script, live| {
            let visitor = live.visitors[0];
            let before = visitor.ask_all()?;
            let main = script.history(STAGING)?;
            visitor.take();
            let mut recovery = Recovery::begin(scene, "the one process that serves");
            live.kill(0)?;
            recovery.reached("it answers again");
            let seen = visitor.take();
            ensure!(seen.wrong == 0, "it answered wrongly");
            ensure!(visitor.ask_all()? == before, "it answers something else than before");
            recovery.reached("and as before, to every probe");
            ensure!(script.history(STAGING)?.tip() == main.tip(), "main moved");
            let requests = seen.lost + seen.answered();
            Ok(recovery.end(format!("{} of {requests} requests meanwhile", seen.lost)))
        },
    )
}
