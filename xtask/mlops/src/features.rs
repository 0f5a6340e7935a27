//! `features`: what drift is measured on, for whoever keeps features in a store of their own: Parquet by day, and
//! Feast's definition of it.
//!
//! Every file is whole or not there, and is named by the log that it comes from: exporting again, or a log that grew
//! or was packed meanwhile, doubles nothing. Memory does not depend on how many records there are.

mod columns;
mod definition;
mod part;
mod parts;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::bail;
use contract::digest::Digest;
use contract::record::log::Log;
use contract::record::skip::Skip;
use jiff::Timestamp;
use jiff::civil::Date;

use self::parts::Parts;
use self::row::Reader;
use crate::told::tell;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Export(Args),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Export(args) => args.run(),
        }
    }
}

/// Write the records of a service as Parquet, a folder for each day, with Feast's definition beside it
///
/// Records of all models are taken. A log that is exported again replaces what it gave before. `feast apply` in the
/// folder makes the features known; its `feature_store.yaml` stays as it is once it is there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records as `serve --records` writes them, gzip or not; `-` is stdin
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Folder of the features; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What became of the lines.
#[derive(Default)]
struct Told {
    /// By log, as it may be given twice.
    rows: BTreeMap<Digest, u64>,
    days: BTreeSet<Date>,
    skipped: BTreeMap<Skip, u64>,
}

impl Args {
    fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(Timestamp::now());
        let mut told = Told::default();
        for path in &self.logs {
            // Whoever closed stderr does not read it.
            drop(writeln!(stderr(), "reading {}", path.display()));
            self.export(path, &reader, &mut told)?;
        }
        if told.rows.is_empty() {
            bail!(
                "no record of a prediction in {}{told}\n\nhint: `mnist-api serve --records FILE` writes them",
                listed(&self.logs)
            );
        }
        definition::write(&self.out)?;
        tell(format_args!(
            "{} predictions of {} days in {}{told}",
            told.predictions(),
            told.days.len(),
            self.out.display()
        ))
    }

    fn export(&self, path: &Path, reader: &Reader, told: &mut Told) -> anyhow::Result<()> {
        let mut log = Log::open(path)?;
        let mut parts = None;
        while let Some(line) = log.next_line()? {
            match line.and_then(|line| reader.read(line).map(|row| (line, row))) {
                Ok((line, row)) => {
                    told.days.insert(row.day());
                    let parts = parts.get_or_insert_with(|| Parts::of(Digest::of(line), &self.out));
                    parts.add(row)?;
                }
                Err(skip) => *told.skipped.entry(skip).or_default() += 1,
            }
        }
        if let Some(parts) = parts {
            let (log, rows) = parts.close()?;
            let most = told.rows.entry(log).or_default();
            *most = rows.max(*most);
        }
        Ok(())
    }
}

impl Told {
    fn predictions(&self) -> u64 {
        self.rows.values().sum()
    }
}

/// What was left out, below what was not.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (skip, lines) in &self.skipped {
            write!(f, "\nnot counted: {lines} {}", skip.reason())?;
        }
        Ok(())
    }
}

fn listed(logs: &[PathBuf]) -> String {
    let names: Vec<String> = logs.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}
