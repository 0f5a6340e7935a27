//! [`Script`]: what acts are made of, wherever they are played: the very commands that people and workflows
//! use, and the demands on what came of them.

use anyhow::{Context, bail, ensure};
use contract::artifact::Artifact;
use gitops::event::Event;
use gitops::history::History;
use gitops::pin::Pin;
use gitops::plan;
use gitops::trailers::Key;
use gitops::verdict::Verdict;

use super::models::Workshop;
use super::stage::Stage;
use super::transcript::Transcript;
use crate::deliver::content::Content;
use crate::deliver::ending::end;
use crate::deliver::gate::Evidence;
use crate::deliver::program::Program;
use crate::deliver::release;
use crate::repo::Repo;
use crate::report::causes;

pub(in crate::operate) struct Script<'a> {
    pub(in crate::operate) repo: &'a Repo,
    pub(in crate::operate) stage: &'a Stage,
    pub(in crate::operate) workshop: Workshop<'a>,
    pub(in crate::operate) transcript: Transcript,
    /// Where images belong.
    pub(in crate::operate) repository: String,
}

pub(in crate::operate) const STAGING: &str = "staging";
pub(in crate::operate) const PRODUCTION: &str = "production";

impl Script<'_> {
    pub(in crate::operate) fn release_args(&self, artifact: &Artifact) -> release::Args {
        release::Args {
            model: Some(artifact.path().display().to_string()),
            env: STAGING.to_owned(),
            image: Some(self.repository.clone()),
            against: PRODUCTION.to_owned(),
            evidence: Evidence { policy: Some(self.stage.policy()), ..Evidence::default() },
            allow_dirty: true,
            signing_key: None,
            publication: self.stage.publication(),
        }
    }

    pub(in crate::operate) fn release(&self, artifact: &Artifact) -> anyhow::Result<()> {
        self.transcript.say(format_args!("release {}", artifact.manifest().model_version));
        self.release_args(artifact).run(self.repo)
    }

    /// What `release` ends with, without what would have stopped it before: some failures show only
    /// where a release runs.
    pub(in crate::operate) fn pin_past_the_gate(
        &self,
        artifact: &Artifact,
        name: &str,
    ) -> anyhow::Result<Pin> {
        let pin = self.image_past_the_gate(artifact, name)?;
        self.publish(&pin)?;
        Ok(pin)
    }

    pub(in crate::operate) fn image_past_the_gate(
        &self,
        artifact: &Artifact,
        name: &str,
    ) -> anyhow::Result<Pin> {
        self.transcript.say("gate and smoke test of `release` are passed by, as they would see it");
        self.image(artifact, name)
    }

    /// Another one for each name, whatever it holds.
    pub(in crate::operate) fn image(&self, artifact: &Artifact, name: &str) -> anyhow::Result<Pin> {
        let program = Program::of(self.repo)?.named(name);
        let content = Content { artifact, program: &program, repository: &self.repository };
        content.make(self.repo, &self.stage.publication().store)
    }

    pub(in crate::operate) fn publish(&self, pin: &Pin) -> anyhow::Result<()> {
        end(self.stage.publication().publish(self.repo, &[STAGING], |snapshot, environments| {
            plan::release(&snapshot.history(&environments[0]), pin)
        }))
    }

    /// What a webhook does with a report: `cargo xtask rollback --auto --event -`.
    pub(in crate::operate) fn handle(&self, event: &str) -> anyhow::Result<()> {
        let known = self.history(STAGING)?.environments().clone();
        let told = Event::parse(event.as_bytes(), &known)?;
        self.transcript.say(format_args!("a report comes: {told}"));
        end(self.stage.publication().receive(self.repo, event.as_bytes()))
    }

    pub(in crate::operate) fn history(&self, environment: &str) -> anyhow::Result<History> {
        let snapshot = self.stage.publication().remote.snapshot(self.repo)?;
        let environment = snapshot.environments().parse(environment)?;
        Ok(snapshot.history(&environment))
    }

    pub(in crate::operate) fn demand_verified(&self, environment: &str) -> anyhow::Result<()> {
        let history = self.history(environment)?;
        let verified = history.head().is_some_and(|head| history.is_verified(head));
        ensure!(verified, "{environment} is not verified");
        self.transcript.say(format_args!("{environment} is verified"));
        Ok(())
    }

    /// Staging pins what it had verified last, for this reason, and nobody else came in between.
    pub(in crate::operate) fn demand_rolled_back(
        &self,
        before: &History,
        verdict: Verdict,
    ) -> anyhow::Result<History> {
        let history = self.history(STAGING)?;
        let undone = before.head().context("staging was never released")?;
        let head = history.head().context("staging is gone")?;
        ensure!(head.rollback_of() == Some(undone.commit), "staging was not rolled back");
        let reason = head.trailers.get(Key::Verdict);
        ensure!(reason == Some(verdict.name()), "it was rolled back for another reason");
        let good = before.last_verified().context("nothing was verified before")?;
        ensure!(history.same_pin(head, good), "something else than the verified pin is back");
        Ok(history)
    }

    /// An attempt that has to fail, and for this reason.
    pub(in crate::operate) fn demand_refused(
        &self,
        attempt: anyhow::Result<()>,
        reason: &str,
    ) -> anyhow::Result<()> {
        let Err(error) = attempt else { bail!("nothing was refused") };
        let told = causes(&error);
        self.transcript.say(&told);
        ensure!(told.contains(reason), "it was refused for another reason");
        Ok(())
    }
}
