//! Cache and working data are deleted. Git has the pointers and the remote the contents, so both come back, and the
//! same training gives the same model.

use anyhow::ensure;

use super::{Recovery, Scene, Versioned};

pub(super) fn play(scene: &Scene<'_>, without_remote: bool) -> anyhow::Result<Recovery> {
    scene.stage.begin()?;
    let versioned = Versioned::begin(scene.repo, scene.stage)?;
    scene.transcript.say(format_args!("to the remote: {}", versioned.pushed));
    let before = versioned.train()?.manifest().model_digest;
    scene.transcript.say(format_args!("a model is trained on it: {before}"));
    if without_remote {
        versioned.lose_remote()?;
    }
    let mut recovery = Recovery::begin(scene, "cache and working data");
    versioned.lose()?;
    recovery.reached("the loss is noticed");
    versioned.pull()?;
    recovery.reached("the data is pulled");
    versioned.verify()?;
    recovery.reached("every content is what Git says");
    let after = versioned.train()?.manifest().model_digest;
    ensure!(after == before, "the same training gives another model: {after}");
    recovery.reached("the same training gives the same model");
    Ok(recovery.end("nothing that was pushed"))
}
