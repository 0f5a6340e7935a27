//! Everything is lost but main, the remote of the data and the images: checkout, cache, models, run records and the
//! node. What production would do first comes first: the service, then the data, then the model.

use anyhow::{Context, ensure};
use contract::probes::Probes;

use super::{Recovery, Scene, Versioned};
use crate::operate::rehearsal::live::live;
use crate::operate::rehearsal::script::STAGING;

pub(super) fn play(scene: &Scene<'_>, without_remote: bool) -> anyhow::Result<Recovery> {
    let Scene { repo, stage, transcript } = *scene;
    let mut versioned = None;
    let (main, answers, staging) = scene.while_staging_runs(
        |_| {
            let data = versioned.insert(Versioned::begin(repo, stage)?);
            transcript.say(format_args!("to the remote: {}", data.pushed));
            data.train()
        },
        |script, live| {
            let history = script.history(STAGING)?;
            Ok((history.tip(), live.visitors[0].ask_all()?, history.environment().clone()))
        },
    )?;
    let versioned = versioned.context("nothing was versioned")?;
    if without_remote {
        versioned.lose_remote()?;
    }

    let mut recovery =
        Recovery::begin(scene, "all but main, the remote of the data, and the images");
    for lost in ["clone", "node", "workshop"] {
        fs_err::remove_dir_all(stage.path().join(lost))?;
    }
    stage.clone_again()?;
    recovery.reached("main is cloned");
    let (_, pictures) = Probes::from_json(&fs_err::read(repo.probes())?)?;
    let node = stage.path().join("another-node");
    let script = scene.script()?;
    live(stage, &node, [&staging], &pictures, transcript, |live| {
        script.handle(&live.next_event()?)?;
        recovery.reached("another node runs what main pins, and its smoke test passed");
        live.visitors[0].begin()?;
        ensure!(live.visitors[0].ask_all()? == answers, "it answers something else than before");
        recovery.reached("it answers as before, to every probe");
        Ok(())
    })?;
    let history = script.history(STAGING)?;
    script.demand_verified(STAGING)?;
    ensure!(history.tip() == main, "main moved");

    versioned.pull()?;
    recovery.reached("the data is pulled");
    versioned.verify()?;
    recovery.reached("every content is what Git says");
    let pinned = history.restorable().next().context("nothing is verified")?.1.model_digest;
    let trained = versioned.train()?.manifest().model_digest;
    ensure!(trained == pinned, "the same training gives another model than main pins: {trained}");
    recovery.reached("the same training gives the model that main pins");
    Ok(recovery.end("nothing that was pushed; run records and artifacts, but for those in images"))
}
