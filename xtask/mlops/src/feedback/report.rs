//! [`Report`]: what became of the labels. JSON and Markdown are projections of it.

use std::collections::BTreeMap;
use std::fmt;

use contract::task::Task;
use serde::Serialize;

use super::chosen::{Chosen, Limits};
use super::left::{Left, Why};
use contract::record::skip::Skip;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    limits: Limits,
    classes: Vec<Class>,
    /// Labels that no picture was made of.
    left_out: BTreeMap<Why, u64>,
    /// Lines that could not be read.
    skipped: BTreeMap<Skip, u64>,
}

#[derive(Debug, Serialize)]
struct Class {
    #[serde(rename = "class")]
    name: String,
    before: usize,
    added: usize,
    /// Of those added, how many the model took for another class.
    mistaken: usize,
}

impl Report {
    pub(super) fn of(chosen: &Chosen, task: &Task, limits: Limits, left: &Left) -> Self {
        let class = |(label, class): (usize, &String)| {
            let added = || chosen.new.values().filter(|new| new.truth == label);
            Class {
                name: class.clone(),
                before: chosen.before[label],
                added: added().count(),
                mistaken: added().filter(|new| new.predicted != label).count(),
            }
        };
        Self {
            limits,
            classes: task.classes.iter().enumerate().map(class).collect(),
            left_out: left.labels.clone(),
            skipped: left.lines.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Class) -> usize| self.classes.iter().map(of).sum::<usize>();
        let (added, before) = (sum(|class| class.added), sum(|class| class.before));
        writeln!(f, "## Labelled by callers\n\n{added} pictures added to {before}.\n")?;
        writeln!(f, "| class | before | added | of those mistaken |\n|---|---:|---:|---:|")?;
        for Class { name, before, added, mistaken } in &self.classes {
            writeln!(f, "| {name} | {before} | {added} | {mistaken} |")?;
        }
        let Limits { per_client, per_class } = self.limits;
        write!(
            f,
            "\nAt most {per_client} of one caller are added, and a class has at most {per_class}."
        )?;
        if !self.left_out.is_empty() {
            write!(f, "\n\n| labels left out | |\n|---|---:|")?;
            for (why, labels) in &self.left_out {
                write!(f, "\n| {} | {labels} |", why.reason())?;
            }
        }
        if !self.skipped.is_empty() {
            write!(f, "\n\n| lines that could not be read | |\n|---|---:|")?;
            for (skip, lines) in &self.skipped {
                write!(f, "\n| {} | {lines} |", skip.reason())?;
            }
        }
        Ok(())
    }
}
