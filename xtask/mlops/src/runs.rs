//! `runs`: what was trained here, from the records alone. No server is asked.

mod compared;
mod list;
mod overlaid;
mod read;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use contract::atomic;
use serde::Serialize;

pub(crate) use read::{Run, Runs, Standing};

use self::compared::Comparison;
use self::list::Row;
use crate::told::tell;

/// What was trained here: all runs, one, or several beside each other
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// One line for each run, the newest last
    List {
        #[command(flatten)]
        runs: Folder,
        /// A JSON array
        #[arg(long)]
        json: bool,
    },
    /// All that one run says of itself
    Show {
        /// Its id, the beginning of it, or `latest`
        run: String,
        #[command(flatten)]
        runs: Folder,
        /// Its record and all its points as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// What differs between runs, and what came of it
    Compare {
        /// Ids, beginnings of them, or `latest`
        #[arg(required = true, num_args = 2.., value_name = "RUN")]
        names: Vec<String>,
        #[command(flatten)]
        runs: Folder,
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// Draw every metric that was measured in steps here, all runs in one picture
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Folder {
    /// Folder of run records; `cargo xtask` takes the one that `train` writes to
    #[arg(long, value_name = "DIR", env = "MLOPS_RUNS", hide_env = true)]
    runs: PathBuf,
}

impl Folder {
    pub(crate) fn open(&self) -> anyhow::Result<Runs> {
        Runs::open(&self.runs)
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.runs
    }
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List { runs, json } => {
                let rows: Vec<Row> = runs.open()?.all()?.iter().map(Row::of).collect();
                if json { tell_json(&rows) } else { tell(list::table(&rows).trim_end()) }
            }
            Command::Show { run, runs, json } => {
                let run = runs.open()?.named(&run)?;
                if json { tell_json(&run) } else { tell(list::shown(&run).trim_end()) }
            }
            Command::Compare { names, runs, json, svg } => {
                let runs = runs.open()?;
                let found = names.iter().map(|name| runs.named(name));
                let found = found.collect::<anyhow::Result<Vec<_>>>()?;
                if let Some(path) = svg {
                    atomic::write_file(&path, overlaid::picture(&found).as_bytes())
                        .with_context(|| format!("writing {}", path.display()))?;
                }
                let comparison = Comparison::of(&found);
                if json { tell_json(&comparison) } else { tell(comparison.to_string().trim_end()) }
            }
        }
    }
}

fn tell_json(value: &impl Serialize) -> anyhow::Result<()> {
    tell(serde_json::to_string_pretty(value)?)
}
