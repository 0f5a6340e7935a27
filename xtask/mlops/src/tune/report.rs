//! `report.md`, its pictures and `best.yaml`: what a study found, and whether it is better.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use contract::atomic;
use serde_json::Value;

use super::importance::{FEW, importance};
use super::space::{Params, changed};
use super::state::{How, Seen, Trial};
use super::study::{Objective, Sampler, Study};
use super::verdict::{Comparison, Standing, Verdict};
use super::{numbered, pictures, work};

pub(super) const REPORT: &str = "report.md";
const BEST: &str = "best.yaml";
const HISTORY: &str = "history.svg";
const IMPORTANCE: &str = "importance.svg";

/// Where the best recipe is; none where no trial came to its end.
pub(super) fn write(study: &Study, seen: &Seen, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let file = |name: &str, text: &str| atomic::write_file(&folder.join(name), text.as_bytes());
    let importance = importance(&study.space, &work::history(study, seen));
    file(HISTORY, &pictures::history(study, seen))?;
    if let Some(importance) = &importance {
        file(IMPORTANCE, &pictures::importance(importance))?;
    }
    file(REPORT, &text(study, seen, importance.as_deref()))?;
    let Some((_, best)) = work::best(study, seen) else { return Ok(None) };
    let recipe = changed(&study.base, best.params().unwrap_or(&Params::new()));
    file(BEST, &serde_yaml::to_string(&recipe)?)?;
    Ok(Some(folder.join(BEST)))
}

/// What it all comes to, in one line.
pub(super) fn sentence(study: &Study, seen: &Seen) -> String {
    let base = &study.written.base;
    match (Verdict::of(study, seen), work::best(study, seen)) {
        (Verdict::Compared(found), Some((number, _))) => {
            let seeds = numbered(found.pairs.len(), "seed");
            let trial = work::name(number);
            let figures = figures(study.written.objective, &found);
            match found.standing(study) {
                Standing::Better => {
                    format!("trial {trial} is better than `{base}`: over {seeds} {figures}")
                }
                Standing::Worse => {
                    format!("trial {trial} is worse than `{base}`: over {seeds} {figures}")
                }
                Standing::Open => format!(
                    "nothing better than `{base}` was shown: over {seeds} trial {trial} differs, {figures}"
                ),
            }
        }
        (Verdict::Unconfirmed, Some((number, _))) => {
            format!("trial {} came first; nobody confirmed it on other seeds", work::name(number))
        }
        (Verdict::Failed(seeds), Some((number, _))) => {
            let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
            format!(
                "trial {} came first and is not confirmed: trainings failed with seeds {}",
                work::name(number),
                seeds.join(", ")
            )
        }
        (_, Some(_)) => format!("nothing came before `{base}` itself"),
        (_, None) => "no trial came to its end".to_owned(),
    }
}

fn figures(objective: Objective, found: &Comparison) -> String {
    let ((low, high), mean) = (found.interval, found.mean);
    let shown = |value: f64| match objective {
        Objective::Accuracy => format!("{:+.3}", 100.0 * value),
        Objective::Loss => format!("{value:+.5}"),
    };
    let unit = match objective {
        Objective::Accuracy => " points",
        Objective::Loss => "",
    };
    let (mean, low, high) = (shown(mean), shown(low), shown(high));
    format!("{} by {mean}{unit} (95 % interval {low} to {high})", objective.metric())
}

fn text(study: &Study, seen: &Seen, importance: Option<&[(String, f64)]>) -> String {
    let (written, ranked) = (&study.written, work::ranked(study, seen));
    let mut text = format!("# Study `{}`\n\n{}.\n", study.name, capital(&sentence(study, seen)));
    let count = |how: How| {
        let is_so = |trial: &&Trial| trial.end.as_ref().is_some_and(|end| end.how == how);
        ranked.iter().map(|(_, trial)| *trial).filter(is_so).count()
    };
    let sampler = match written.sampler {
        Sampler::Tpe => format!("TPE after {} at random", written.startup),
        Sampler::Random => "at random".to_owned(),
    };
    let stopping = study.asha.as_ref().map_or("no early stopping".to_owned(), |asha| {
        format!("ASHA: one of {} goes on after epochs {:?}", asha.reduction, asha.rungs)
    });
    let data = seen.data.as_ref().map_or("no data yet", |data| data.name.as_str());
    put(
        &mut text,
        format_args!(
            "\n{} of {} trials of {}: {} finished, {} stopped early, {} failed. Sampler: {sampler}, seed {}; {stopping}. \
             Objective: {}. All figures are of validation images; the test set was not opened.\n\n![trials]({HISTORY})\n",
            ranked.len(),
            written.trials,
            data,
            count(How::Finished),
            count(How::Stopped),
            count(How::Failed),
            written.seed,
            written.objective.metric(),
        ),
    );
    confirmed(&mut text, study, seen);
    recipe(&mut text, study, seen);
    if let Some(importance) = importance {
        let few =
            if ranked.len() < FEW { " With so few trials they are mostly chance." } else { "" };
        put(
            &mut text,
            format_args!(
                "\n## Importance\n\nHow much a field decides whether a trial is among the best fifth (PED-ANOVA); the \
                 shares sum to 1.{few}\n\n![importance]({IMPORTANCE})\n\n| field | share |\n|---|---:|\n"
            ),
        );
        for (field, share) in importance {
            put(&mut text, format_args!("| `{field}` | {share:.2} |\n"));
        }
    }
    trials(&mut text, study, &ranked);
    failed(&mut text, study, seen, &ranked);
    text
}

fn confirmed(text: &mut String, study: &Study, seen: &Seen) {
    let Verdict::Compared(found) = Verdict::of(study, seen) else { return };
    let shown = |value| study.written.objective.shown(value);
    put(
        text,
        format_args!(
            "\n## Confirmed\n\nTrained anew with seeds that the search has not seen, each of which also chooses other \
             validation images: {} (paired, Student's t).\n\n| seed | `{}` | best | seconds |\n|---:|---:|---:|---:|\n",
            figures(study.written.objective, &found),
            study.written.base,
        ),
    );
    for pair in &found.pairs {
        let (base, best) = (shown(pair.base), shown(pair.best));
        let (one, other) = pair.seconds;
        put(text, format_args!("| {} | {base} | {best} | {one:.1}, {other:.1} |\n", pair.seed));
    }
}

fn recipe(text: &mut String, study: &Study, seen: &Seen) {
    let Some((_, best)) = work::best(study, seen) else { return };
    put(
        text,
        format_args!(
            "\n## Recipe\n\n`{BEST}`, for `train --recipe`:\n\n| field | `{}` | best |\n|---|---:|---:|\n",
            study.written.base
        ),
    );
    let base = study.space.of_recipe(&study.base).unwrap_or_default();
    for (field, value) in best.params().into_iter().flatten() {
        let before = base.get(field).unwrap_or(&Value::Null);
        put(text, format_args!("| `{field}` | {before} | {value} |\n"));
    }
}

fn trials(text: &mut String, study: &Study, ranked: &[(usize, &Trial)]) {
    let fields: Vec<&str> = study.space.fields().collect();
    put(
        text,
        format_args!(
            "\n## Trials, best first\n\n| trial | | epochs | {} | {} |\n|---:|---|---:|---:|{}\n",
            study.written.objective.metric(),
            fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" | "),
            "---:|".repeat(fields.len()),
        ),
    );
    for (number, trial) in ranked {
        let Some(end) = &trial.end else { continue };
        let how = match end.how {
            How::Finished => "finished",
            How::Stopped => "stopped",
            How::Failed => "failed",
        };
        let value =
            end.value.map_or("–".to_owned(), |value| study.written.objective.shown(value));
        let of = |field: &&str| {
            trial
                .params()
                .and_then(|params| params.get(*field))
                .map_or("–".to_owned(), Value::to_string)
        };
        let values: Vec<String> = fields.iter().map(of).collect();
        put(
            text,
            format_args!(
                "| {} | {how} | {} | {value} | {} |\n",
                work::name(*number),
                end.epoch,
                values.join(" | ")
            ),
        );
    }
}

/// Of the search, and of those that were to confirm it.
fn failed(text: &mut String, study: &Study, seen: &Seen, ranked: &[(usize, &Trial)]) {
    let confirmations = work::confirmations(study, seen);
    let searched = ranked.iter().map(|(number, trial)| (work::name(*number), *trial));
    let confirmed = confirmations
        .iter()
        .filter_map(|one| Some((one.trial.clone(), seen.trials.get(&one.trial)?)));
    let reason = |(name, trial): (String, &Trial)| {
        let end = trial.end.as_ref().filter(|end| end.how == How::Failed)?;
        let reason = end.reason.as_deref().unwrap_or_default();
        Some(format!("- {name}: {}\n", reason.lines().collect::<Vec<_>>().join(" ")))
    };
    let reasons: String = searched.chain(confirmed).filter_map(reason).collect();
    if !reasons.is_empty() {
        put(text, format_args!("\n## Failed\n\n{reasons}"));
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String cannot fail");
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
