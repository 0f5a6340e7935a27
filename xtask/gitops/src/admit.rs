//! [`admit`]: the last word before a plan becomes true. What it needs to know was looked up by others;
//! what is not known is a no.

use crate::change::Kind;
use crate::environment::Part;
use crate::guards::Guard;
use crate::object_id::ObjectId;
use crate::plan::{Plan, Target};

/// Ids of the trees that an environment is rendered from; none where there is no such folder. Ids, not
/// rendered text: what `kustomize build` prints changes with its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderInputs {
    pub base: Option<ObjectId>,
    pub components: Option<ObjectId>,
    pub overlay: Option<ObjectId>,
}

#[derive(Debug, Clone)]
pub struct Evidence {
    /// Files that the commit made of the plan changes.
    pub touched: Vec<String>,
    /// Of the new commit, and of the one that the plan promises to equal.
    pub inputs: RenderInputs,
    pub promised: Option<RenderInputs>,
    /// None where the plan runs no image.
    pub image: Option<ImageCheck>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageCheck {
    Present(Signature),
    Missing,
    /// The registry could not be asked.
    Unchecked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    Valid,
    Invalid,
    /// The repository says that images are not signed.
    NotRequired,
}

/// A plan that may be published. There is no other way to make one.
#[derive(Debug, Clone)]
pub struct Admitted(Plan);

impl Admitted {
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

pub fn admit(plan: &Plan, evidence: &Evidence) -> Result<Admitted, Guard> {
    let owns = |path: &String| {
        let pin = Part::of(path) == Part::Pin(plan.environment.clone());
        let holds = Part::of(path) == Part::Holds;
        match plan.kind() {
            Kind::Release | Kind::Promotion => pin,
            Kind::Rollback => pin || holds,
            Kind::Hold => holds,
            // A human reads a proposal before it reaches main.
            Kind::Foreign => plan.target == Target::Proposal,
        }
    };
    if !evidence.touched.iter().all(owns) {
        return Err(Guard::TouchesMore);
    }
    if plan.identical_to.is_some() && evidence.promised != Some(evidence.inputs) {
        return Err(Guard::NotByteIdentical);
    }
    if plan.image.is_some() {
        match evidence.image {
            Some(ImageCheck::Present(Signature::Valid | Signature::NotRequired)) => {}
            Some(ImageCheck::Present(Signature::Invalid)) => return Err(Guard::SignatureInvalid),
            Some(ImageCheck::Missing) => return Err(Guard::ImageMissing),
            Some(ImageCheck::Unchecked) | None => return Err(Guard::ImageUnchecked),
        }
    }
    Ok(Admitted(plan.clone()))
}
