//! [`Study`]: what is looked for, from its YAML file and the recipe that it starts from. All mistakes are told
//! together, those that only the trainer sees too.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asha::Asha;
use super::space::{Space, changed};
use super::trainer::Trainer;

#[derive(Debug)]
pub(super) struct Study {
    pub(super) name: String,
    /// With every default spelled out.
    pub(super) base: Value,
    pub(super) space: Space,
    pub(super) asha: Option<Asha>,
    pub(super) written: Written,
}

/// As the file says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// `quick`, `release`, or a file beside the study's.
    pub(super) base: String,
    space: BTreeMap<String, Value>,
    /// Trials of the search, the base recipe among them as the first.
    pub(super) trials: usize,
    #[serde(default)]
    pub(super) sampler: Sampler,
    /// At random, before there is a history to learn from.
    #[serde(default = "ten")]
    pub(super) startup: usize,
    /// Of the sampler, and of every training in the search.
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) objective: Objective,
    #[serde(default)]
    asha: Option<WrittenAsha>,
    /// Other seeds that the best recipe and the base recipe are then both trained with.
    #[serde(default = "five")]
    pub(super) confirm: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sampler {
    #[default]
    Tpe,
    Random,
}

/// Measured on the validation images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Objective {
    #[default]
    Accuracy,
    Loss,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAsha {
    #[serde(default = "three")]
    reduction: u32,
    #[serde(default)]
    rungs: Option<Vec<u32>>,
}

fn three() -> u32 {
    3
}

fn five() -> u64 {
    5
}

fn ten() -> usize {
    10
}

/// They decide how long a trial takes and who judges it; trials that differ in them cannot be compared.
const FIXED: [&str; 2] = ["epochs", "validation"];

/// All of them are looked at for every next step, and a typo should not take a day to be seen.
const MOST_TRIALS: usize = 10_000;
const MOST_SEEDS: u64 = 1000;

impl Objective {
    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Accuracy => "validation/accuracy",
            Self::Loss => "validation/loss",
        }
    }

    /// Lower is better.
    pub(super) fn cost(self, value: f64) -> f64 {
        match self {
            Self::Accuracy => -value,
            Self::Loss => value,
        }
    }

    /// As people read it.
    pub(super) fn shown(self, value: f64) -> String {
        match self {
            Self::Accuracy => format!("{:.2} %", 100.0 * value),
            Self::Loss => format!("{value:.4}"),
        }
    }
}

impl Study {
    /// `folder` is for files that the trainer is asked about.
    pub(super) fn read(file: &Path, trainer: &Trainer, folder: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file)?;
        let no_study = || format!("`{}` is not a study", file.display());
        // Of two alike, a map of the space would silently have the last.
        serde_yaml::from_str::<serde_yaml::Mapping>(&text).with_context(no_study)?;
        let written: Written = serde_yaml::from_str(&text).with_context(no_study)?;
        let mut mistakes = written.mistakes();
        let space = Space::of(&written.space, &mut mistakes);
        let base = match trainer.recipes(&[written.base_beside(file)]) {
            Ok(recipes) => recipes.into_iter().next(),
            Err(mistake) => {
                mistakes.push(format!("base: {mistake}"));
                None
            }
        };
        if let Some(base) = &base {
            match space.of_recipe(base) {
                Err(missing) => {
                    let told = |field| format!("space.{field}: the recipe has no such field");
                    mistakes.extend(missing.into_iter().map(told));
                }
                Ok(_) => mistakes.extend(refused_ends(base, &space, trainer, folder)?),
            }
        }
        let epochs = base.as_ref().and_then(|base| base["epochs"].as_u64()).unwrap_or_default();
        let epochs = u32::try_from(epochs).unwrap_or(u32::MAX);
        let asha = written.asha.as_ref().map(|asha| {
            let rungs = asha.rungs.clone();
            let rungs = rungs.unwrap_or_else(|| Asha::rungs_of(asha.reduction.max(2), epochs));
            Asha { reduction: asha.reduction, rungs }
        });
        let last = asha.as_ref().and_then(|asha| asha.rungs.iter().max());
        if base.is_some() && last.is_some_and(|rung| *rung >= epochs) {
            mistakes.push(format!(
                "asha.rungs: must be below the {epochs} epochs of the base recipe, where nothing is left to be stopped"
            ));
        }
        let Some((base, [])) = base.map(|base| (base, &mistakes[..])) else {
            bail!("`{}` cannot be tuned by:\n{}", file.display(), mistakes.join("\n"));
        };
        Ok(Self { name: name(file), base, space, asha, written })
    }
}

/// Fields at their ends that the trainer refuses.
fn refused_ends(
    base: &Value,
    space: &Space,
    trainer: &Trainer,
    folder: &Path,
) -> anyhow::Result<Option<String>> {
    let folder = folder.join(format!("ends-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for (number, params) in space.ends().into_iter().enumerate() {
        let fields: Vec<&str> = params.keys().map(String::as_str).collect();
        let file = folder.join(format!("{}-{number}.yaml", fields.concat()));
        fs::write(&file, serde_yaml::to_string(&changed(base, &params))?)?;
        files.push(file.display().to_string());
    }
    let refused = if files.is_empty() { None } else { trainer.recipes(&files).err() };
    fs::remove_dir_all(&folder)?;
    Ok(refused.map(|mistake| format!("at an end of the space: {mistake}")))
}

/// Of runs and folders.
fn name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let kept = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    stem.chars().map(kept).collect()
}

impl Written {
    fn base_beside(&self, file: &Path) -> String {
        if ["quick", "release"].contains(&self.base.as_str()) {
            return self.base.clone();
        }
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        folder.join(&self.base).display().to_string()
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut demand = |holds: bool, mistake: String| {
            if !holds {
                mistakes.push(mistake);
            }
        };
        demand(
            (1..=MOST_TRIALS).contains(&self.trials),
            format!("trials: must be between 1 and {MOST_TRIALS}"),
        );
        demand(
            self.confirm == 0 || (2..=MOST_SEEDS).contains(&self.confirm),
            format!("confirm: one seed tells nothing; 0 for none, or between 2 and {MOST_SEEDS}"),
        );
        for field in FIXED {
            let told = format!(
                "space.{field}: all trials have the base recipe's, or nobody could compare them"
            );
            demand(!self.space.contains_key(field), told);
        }
        if let Some(asha) = &self.asha {
            demand(asha.reduction > 1, "asha.reduction: must be at least 2".to_owned());
            let rungs = asha.rungs.iter().flatten();
            demand(
                rungs.clone().all(|rung| *rung > 0) && rungs.is_sorted_by(|a, b| a < b),
                "asha.rungs: epochs, ascending from 1".to_owned(),
            );
        }
        mistakes
    }

    /// Top-level fields in which the two look for different things. More trials are only more of the same.
    pub(super) fn differs(&self, other: &Self) -> Vec<String> {
        let fields = |written: &Self| match serde_json::to_value(written) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (ours, theirs) = (fields(self), fields(other));
        let differ = |field: &&String| *field != "trials" && ours[*field] != theirs[*field];
        ours.keys().filter(differ).cloned().collect()
    }
}

#[cfg(test)]
impl Study {
    /// Of one field, which the base recipe has as 1, and of two seeds that confirm.
    pub(super) fn of_one_field(trials: usize) -> Self {
        let text = format!(
            "base: quick\nspace: {{ x: {{ uniform: [0, 9] }} }}\ntrials: {trials}\nconfirm: 2\n"
        );
        let written: Written = serde_yaml::from_str(&text).unwrap();
        let space = Space::of(&written.space, &mut Vec::new());
        Self {
            name: "toy".to_owned(),
            base: serde_json::json!({ "x": 1.0 }),
            space,
            asha: None,
            written,
        }
    }
}
