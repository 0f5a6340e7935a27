//! `test`: runs the tiers and ends with a table. A tier that cannot run here is skipped in plain words;
//! under `CI=true` a skip is a failure. What is slow and was not asked for is named.

use std::fmt;
use std::time::{Duration, Instant};

use crate::develop::leftovers::Unknown;
use crate::develop::suite::{Suite, Tier};
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{Exit, data, step};
use crate::train::data::in_ci;

/// What guards a change, cheapest first; `--slow` for every test
///
/// Trains and serves real models on the real data, opens the documentation in a browser, and loads
/// the model with PyTorch. What a machine lacks is skipped, with the command that would provide it.
/// Slow tests take as long as all others together, and are broken by few changes: programs killed again
/// and again, drills, searches, every kind of remote, images. The table names those that were left out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what needs no libtorch: at most three minutes
    #[arg(long)]
    quick: bool,
    /// Also what is slow, as CI does for main
    #[arg(long, conflicts_with = "quick")]
    slow: bool,
    /// Also on the cluster of the current context, with images pushed there: minutes, and Argo CD in it
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "quick")]
    cluster: Option<String>,
    #[command(flatten)]
    install: Install,
}

#[derive(clap::Args)]
pub(crate) struct Install {
    /// Install what is missing: Debian packages, and Python packages and tools in your cache folder
    /// [always under CI=true]
    #[arg(long)]
    install: bool,
    /// Under CI=true a skipped tier is a failure; not this one
    #[arg(long, env, value_delimiter = ',', value_name = "TIER")]
    may_skip: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let suite = Suite { repo, slow: self.slow };
        let mut tiers = suite.checks();
        tiers.extend(suite.light());
        if !self.quick {
            tiers.extend(suite.libtorch_checks());
            tiers.extend(suite.full());
        }
        let mut left_out = Vec::new();
        if self.slow {
            tiers.extend(suite.slow());
        } else if !self.quick {
            left_out = suite.slow();
        }
        match &self.cluster {
            Some(repository) => tiers.push(suite.cluster(repository)),
            None => step("cluster: not asked for; `--cluster REPOSITORY` asks for it"),
        }
        run_tiers(repo, &tiers, &left_out, &self.install)
    }
}

enum Outcome {
    /// With the names of those that are slow and were not asked for.
    Ran(Count, Vec<String>),
    Skipped(String),
    /// All of it is slow.
    LeftOut,
}

/// Tests, or checks that either hold or do not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            passed: self.passed + more.passed,
            failed: self.failed + more.failed,
            ignored: self.ignored + more.ignored,
        }
    }
}

pub(crate) fn run_tiers(
    repo: &Repo,
    tiers: &[Tier],
    left_out: &[Tier],
    options: &Install,
) -> anyhow::Result<()> {
    let install = options.install || in_ci();
    let may_be_skipped = |name: &str| !in_ci() || options.may_skip.iter().any(|tier| tier == name);
    let mut rows = Vec::new();
    let before = Unknown::of(repo);
    for tier in tiers {
        step(format_args!("\n{}", tier.name));
        let start = Instant::now();
        let outcome = run_tier(repo, tier, install);
        rows.push(Row { name: tier.name, outcome, time: start.elapsed() });
    }
    let row = |name, outcome| Row { name, outcome, time: Duration::ZERO };
    rows.extend(left_out.iter().map(|tier| row(tier.name, Outcome::LeftOut)));
    if let Some(before) = before {
        rows.push(row("leftovers", leftovers(&before.since(repo))));
    }
    let (mut total, mut skipped, mut slow) = (Count::default(), 0, false);
    data("");
    for row in &rows {
        data(row);
        match &row.outcome {
            Outcome::Ran(count, left_out) => {
                total = total + *count;
                slow |= !left_out.is_empty();
            }
            Outcome::Skipped(_) if may_be_skipped(row.name) => skipped += 1,
            Outcome::Skipped(_) => total.failed += 1,
            Outcome::LeftOut => slow = true,
        }
    }
    data(format_args!("\n{} passed, {} failed, {skipped} skipped", total.passed, total.failed));
    if slow {
        data("what is slow was left out; `cargo xtask test --slow` runs it too");
    }
    if total.failed == 0 {
        return Ok(());
    }
    Err(Exit { code: 1, message: "not everything passed; see the table above".to_owned() }.into())
}

fn run_tier(repo: &Repo, tier: &Tier, install: bool) -> Outcome {
    for requirement in tier.needs {
        if let Err(reason) = requirement.provide(repo, install) {
            let reason = format!("{reason:#}");
            step(format_args!("skipped: {reason}"));
            return Outcome::Skipped(reason);
        }
    }
    let (mut count, mut left_out) = (Count::default(), Vec::new());
    for command in &tier.commands {
        let mut tests: Option<Count> = None;
        let result = command.lines(|line| {
            step(line);
            if let Some(more) = test_result(line) {
                tests = Some(tests.unwrap_or_default() + more);
            }
        });
        let ended = outcome(tests, result);
        count = count + ended;
        if ended.ignored > 0 {
            match ignored(command) {
                Ok(names) => left_out.extend(names),
                Err(error) => {
                    step(format_args!("what was left out cannot be named: {error:#}"));
                    count.failed += 1;
                }
            }
        }
    }
    Outcome::Ran(count, left_out)
}

/// Names of the tests that the command leaves out; its last words are for them.
fn ignored(command: &Cmd) -> anyhow::Result<Vec<String>> {
    let listed = command.clone().args(["--ignored", "--list"]).read()?;
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// A person may work in the checkout while tests run in it; on a machine that only tests, nobody does.
fn leftovers(paths: &[String]) -> Outcome {
    for path in paths {
        step(format_args!("`{path}` appeared in the checkout, where tests write nothing"));
    }
    let failed = if in_ci() { paths.len() } else { 0 };
    let count = Count { passed: usize::from(failed == 0), failed, ignored: 0 };
    Outcome::Ran(count, Vec::new())
}

/// A command that reports no tests is a check: it holds or it does not. One that reports that none ran
/// has lost them.
fn outcome(tests: Option<Count>, result: anyhow::Result<()>) -> Count {
    let failure = match (&tests, result) {
        (_, Err(error)) => Some(format!("{error:#}")),
        (Some(Count { passed: 0, failed: 0, .. }), Ok(())) => Some("no test ran".to_owned()),
        (_, Ok(())) => None,
    };
    if let Some(failure) = failure {
        step(failure);
        let count = tests.unwrap_or_default();
        return Count { failed: count.failed.max(1), ..count };
    }
    tests.unwrap_or(Count { passed: 1, ..Count::default() })
}

/// Reads the closing line of a Rust test binary.
fn test_result(line: &str) -> Option<Count> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number = |what: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what))
            .and_then(|n| n.trim().parse().ok())
    };
    Some(Count {
        passed: number(" passed")?,
        failed: number(" failed")?,
        ignored: number(" ignored")?,
    })
}

struct Row {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<15}", self.name)?;
        match &self.outcome {
            Outcome::Ran(Count { passed, failed, .. }, left_out) => {
                let seconds = self.time.as_secs_f64();
                write!(f, "{passed:>4} passed {failed:>3} failed {seconds:>6.1} s")?;
                left_out.iter().try_for_each(|test| write!(f, "\n    left out: {test}"))
            }
            Outcome::Skipped(reason) => {
                write!(f, "skipped: {}", reason.lines().next().unwrap_or_default())
            }
            Outcome::LeftOut => write!(f, "left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_whose_tests_all_went_missing_has_failed() {
        let count = |passed, failed| Count { passed, failed, ignored: 0 };
        let wrong = || Err(anyhow::anyhow!("exit status 1"));
        assert_eq!(outcome(Some(count(0, 0)), Ok(())), count(0, 1));
        assert_eq!(outcome(None, Ok(())), count(1, 0));
        assert_eq!(outcome(None, wrong()), count(0, 1));
        assert_eq!(outcome(Some(count(3, 2)), wrong()), count(3, 2));
        assert_eq!(outcome(Some(count(3, 0)), wrong()), count(3, 1));
    }

    #[test]
    fn the_closing_line_of_a_test_binary_is_counted_and_no_other_line_is() {
        let line = "test result: FAILED. 21 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(test_result(line), Some(Count { passed: 21, failed: 2, ignored: 1 }));
        for other in ["running 23 tests", "test result: strange", "21 passed; 2 failed"] {
            assert_eq!(test_result(other), None, "{other}");
        }
    }

    #[test]
    fn a_row_names_each_test_that_was_left_out() {
        let count = Count { passed: 2, failed: 0, ignored: 1 };
        let outcome = Outcome::Ran(count, vec!["a_drill".to_owned()]);
        let row = Row { name: "demo", outcome, time: Duration::ZERO }.to_string();
        assert!(row.starts_with("demo ") && row.contains(" 2 passed   0 failed"), "{row}");
        assert!(row.ends_with("\n    left out: a_drill"), "{row}");
    }
}
