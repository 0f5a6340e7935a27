//! [`Left`]: labels that no picture was made of, counted by their reason.

use std::collections::BTreeMap;

use serde::Serialize;

use contract::record::skip::Skip;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Why {
    Malformed,
    Repeated,
    UnknownClass,
    NotSampled,
    OneNameForTwo,
    OtherAnswer,
    Damaged,
    Blank,
    Rejected,
    Contradicted,
    TooManyOfOneCaller,
    TooManyOfTheClass,
}

impl Why {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "its line of the log is not one that the service writes",
            Self::Repeated => "labelled before, by the same receipt or on the same picture",
            Self::UnknownClass => "of no class of the task",
            Self::NotSampled => "no record has its pixels",
            Self::OneNameForTwo => "records have two pictures under its request's name",
            Self::OtherAnswer => "the record has another answer, or another model's",
            Self::Damaged => "the record's pixels are not those that were classified",
            Self::Blank => "all of one colour",
            Self::Rejected => "of a picture that people rejected",
            Self::Contradicted => "labelled in two ways",
            Self::TooManyOfOneCaller => "more than one caller may label",
            Self::TooManyOfTheClass => "more than a class may have",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) labels: BTreeMap<Why, u64>,
    /// Lines that could not be read; one that is about something else is not among them.
    pub(super) lines: BTreeMap<Skip, u64>,
}

impl Left {
    pub(super) fn out(&mut self, why: Why, labels: usize) {
        if labels > 0 {
            *self.labels.entry(why).or_default() += labels as u64;
        }
    }

    pub(super) fn unread(&mut self, skip: Skip) {
        *self.lines.entry(skip).or_default() += 1;
    }
}
