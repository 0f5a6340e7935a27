//! `rollback` and `deployed`: undoing by hand, and the two doors of every report.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use gitops::plan::{self, Selector};

use crate::deliver::ending::{self, Stop, end};
use crate::deliver::remote::Publication;
use crate::repo::Repo;
use crate::report::WithHint;

/// Bring back what was verified before, by hand or by a report
///
/// Restores the newest verified pin that is not quarantined and differs from the present one: one
/// commit on main. With --auto the report decides whether that is right, and nothing happens twice.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// Name of an environment
    #[arg(required_unless_present = "auto", conflicts_with = "auto")]
    environment: Option<String>,
    /// Version of service or model, image digest, or commit to go back to [default: the newest]
    #[arg(long, value_name = "VERSION", conflicts_with = "auto")]
    to: Option<String>,
    /// Why, for those who read main later
    #[arg(long, required_unless_present = "auto", conflicts_with = "auto")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Let a report decide
    #[arg(long, requires = "event")]
    auto: bool,
    /// File of the report's JSON; `-` is stdin
    #[arg(long, value_name = "FILE", requires = "auto")]
    event: Option<PathBuf>,
    #[command(flatten)]
    publication: Publication,
}

/// Handle the report of a deployment: a passed smoke test marks its change as verified
///
/// The same path as `rollback --auto`: what a report is, it says itself.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct DeployedArgs {
    /// File of the report's JSON; `-` is stdin
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    #[command(flatten)]
    publication: Publication,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(match (&self.event, &self.environment, &self.reason) {
            (Some(event), ..) => receive(&self.publication, repo, event),
            (None, Some(environment), Some(reason)) => {
                let to = self.to.clone().map_or(Selector::Newest, Selector::Version);
                self.publication.publish(repo, &[environment], |snapshot, environments| {
                    plan::rollback(&snapshot.history(&environments[0]), &to, reason)
                })
            }
            _ => Err(anyhow::anyhow!("neither an environment nor a report").into()),
        })
    }
}

impl DeployedArgs {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(receive(&self.publication, repo, &self.event))
    }
}

fn receive(publication: &Publication, repo: &Repo, event: &Path) -> Result<(), Stop> {
    publication.receive(repo, &read(event)?)
}

/// A report is small; more than this is none, however long it goes on.
const MOST: u64 = 1 << 20;

fn read(event: &Path) -> anyhow::Result<Vec<u8>> {
    let mut json = Vec::new();
    let read = if event == Path::new("-") {
        std::io::stdin().lock().take(MOST).read_to_end(&mut json)
    } else {
        fs_err::File::open(event).and_then(|file| file.take(MOST).read_to_end(&mut json))
    };
    read.context("reading the report")
        .hint("--event takes a file, or `-` for what comes through a pipe")?;
    Ok(json)
}
