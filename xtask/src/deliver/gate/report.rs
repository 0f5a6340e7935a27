//! The judgement as a page for people: `gate.md`, and beside it a picture of what records became otherwise.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use contract::atomic::AtomicDir;
use contract::mcnemar::Comparison;
use contract::replay::{Answer, Flip, Replay};

use super::judgement::{Beside, Judgement, Replayed, Row};
use crate::report::WithHint;

const PAGE: &str = "gate.md";
const SHEET: &str = "flips.svg";
/// Of the flips, those that are listed.
const LISTED: usize = 100;

/// A folder that is replaced must be one of ours.
pub(super) fn demand_place(folder: &Path) -> anyhow::Result<()> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        if ![PAGE, SHEET].map(OsStr::new).contains(&&*entry.file_name()) {
            let what =
                format!("`{}` is no part of a report, and would be lost", entry.path().display());
            return Err(anyhow::anyhow!(what))
                .hint("--report DIR makes the folder, or replaces a report");
        }
    }
    Ok(())
}

pub(super) fn write(judgement: &Judgement, folder: &Path) -> anyhow::Result<()> {
    let whole = || -> anyhow::Result<()> {
        let dir = AtomicDir::create(folder)?;
        fs_err::write(dir.path().join(PAGE), page(judgement))?;
        if let Some(replayed) = &judgement.replayed {
            fs_err::write(dir.path().join(SHEET), &replayed.sheet)?;
        }
        // Somebody may have put something there since it was looked at.
        if let Err(error) = demand_place(folder) {
            bail!(error);
        }
        Ok(dir.commit()?)
    };
    whole().with_context(|| format!("writing the report to `{}`", folder.display()))
}

fn page(judgement: &Judgement) -> String {
    let Judgement { candidate, champion, criteria, classes, perturbed, replayed } = judgement;
    let mut page = String::new();
    let mut line = |text: &str| {
        page.push_str(text);
        page.push('\n');
    };
    let verdict = if judgement.passed() { "may ship" } else { "may not ship" };
    line(&format!("# {} · {} {verdict}\n", candidate.title(), candidate.model_version));
    let training = &candidate.training;
    let against = match champion {
        Some(champion) => format!("Judged against the champion `{}`.", champion.model_version),
        None => "There is no champion yet.".to_owned(),
    };
    line(&format!(
        "Recipe `{}`, seed {}, data `{}`. {against}\n",
        training.recipe, training.seed, candidate.data.name
    ));
    line("| | criterion |\n|---|---|");
    for (holds, sentence) in criteria {
        let sign = if *holds { "holds" } else { "**fails**" };
        line(&format!("| {sign} | {} |", cell(sentence)));
    }
    line("\n## By class\n");
    line(&table("class", classes));
    if !perturbed.is_empty() {
        line("\n## On perturbed pictures\n");
        line(&table("perturbation", perturbed));
    }
    if let Some(replayed) = replayed {
        line("\n## Replayed records\n");
        line(records(replayed, &candidate.task.classes).trim_end());
    }
    page
}

fn table(kind: &str, rows: &[Row]) -> String {
    let head = format!(
        "| {kind} | images | accuracy | champion's | gained | lost | adjusted p |\n|---|--:|--:|--:|--:|--:|--:|"
    );
    [head].into_iter().chain(rows.iter().map(row)).collect::<Vec<_>>().join("\n")
}

fn row(row: &Row) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let adjusted = |p: f64| if row.judged { format!("{p:.3}") } else { "not judged".to_owned() };
    let beside = match row.beside {
        Some(Beside { accuracy, comparison: Comparison { gained, lost, .. }, adjusted: p }) => {
            format!("{} | {gained} | {lost} | {}", percent(accuracy), adjusted(p))
        }
        None => "– | – | – | –".to_owned(),
    };
    format!("| {} | {} | {} | {beside} |", cell(&row.name), row.images, percent(row.accuracy))
}

fn records(replayed: &Replayed, classes: &[String]) -> String {
    let Replay { images, flips, corrected, skipped, .. } = &replayed.answers;
    let mut text = format!("{images} pictures, of which {} are answered otherwise.\n", flips.len());
    if !skipped.is_empty() {
        text += "\n| lines skipped | |\n|---|--:|\n";
        text.extend(
            skipped.iter().map(|(skip, lines)| format!("| {} | {lines} |\n", skip.reason())),
        );
    }
    if !flips.is_empty() {
        text.extend([format!("\n![What became otherwise]({SHEET})\n\n"), listed(flips, classes)]);
    }
    if !corrected.is_empty() {
        let title = format!("\n{} more became what callers said.\n\n", corrected.len());
        text.extend([title, listed(corrected, classes)]);
    }
    text
}

fn listed(flips: &[Flip], classes: &[String]) -> String {
    let mut text = String::new();
    let mut line =
        |words: String| writeln!(text, "{words}").expect("writing to a String cannot fail");
    let name = |answer: &Answer| {
        let class = classes.get(answer.label).map_or("?", String::as_str);
        format!("{} ({:.0} %)", cell(class), 100.0 * answer.confidence)
    };
    line(
        "| | time | request | image | champion | candidate |\n|--:|---|---|--:|---|---|".to_owned(),
    );
    for (number, flip) in flips.iter().take(LISTED).enumerate() {
        let Flip { request_id, image, ts, champion, candidate } = flip;
        line(format!(
            "| {} | {} | {} | {image} | {} | {} |",
            number + 1,
            quoted(ts),
            quoted(request_id),
            name(champion),
            name(candidate)
        ));
    }
    if flips.len() > LISTED {
        line(format!("\nAnd {} more.", flips.len() - LISTED));
    }
    text
}

/// Our own words, which name classes and data.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(char::is_control, " ")
}

/// Text of strangers, which may hold anything, as that text and nothing else: no link, picture, mention or row.
fn quoted(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // CommonMark takes any of ASCII's punctuation for itself behind a backslash; HTML and `@` do not wait for
            // it to be taken, so they become entities.
            '<' | '>' | '&' | '@' | '#' | '|' | '\\' => {
                write!(cell, "&#{};", u32::from(character))
                    .expect("writing to a String cannot fail");
            }
            mark if "`*_{}[]()!~".contains(mark) => cell.extend(['\\', mark]),
            control if control.is_control() => cell.push(' '),
            other => cell.push(other),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_is_text_and_nothing_else() {
        for (text, told) in [
            ("![x](//e.org)", "\\!\\[x\\]\\(//e.org\\)"),
            ("a\\|b", "a&#92;&#124;b"),
            ("<b>@all #1\n", "&#60;b&#62;&#64;all &#35;1 "),
            ("req-1.2", "req-1.2"),
        ] {
            assert_eq!(quoted(text), told);
        }
    }

    #[test]
    fn a_folder_with_anything_else_in_it_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        demand_place(&folder.path().join("new")).unwrap();
        for name in [PAGE, SHEET] {
            fs_err::write(folder.path().join(name), "").unwrap();
        }
        demand_place(folder.path()).unwrap();
        fs_err::write(folder.path().join("adopt.md"), "").unwrap();
        let told = format!("{:#}", demand_place(folder.path()).unwrap_err());
        assert!(told.contains("adopt.md"), "{told}");
    }
}
