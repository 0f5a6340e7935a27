//! `gitops-listen`: takes Argo CD's reports where GitHub's workflows are not, and Alertmanager's alerts, and hands each
//! to `xtask`.
//!
//! It decides nothing. What it accepted is in the [`spool`] before it says so, and stays there until a run
//! of `xtask` has ended; what a run does is decided by main alone, so a run too many changes nothing.

mod api;
mod auth;
mod command;
mod config;
mod connections;
mod metrics;
mod outcome;
mod page;
mod problem;
mod report;
mod serve;
mod spool;
mod worker;

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::Parser;

use crate::config::{Config, Options};

/// Hand Argo CD's reports to `xtask`, where GitHub's workflows are not
///
/// Argo CD reports how a release ended, and somebody has to run `xtask rollback --auto` or `xtask deployed`
/// with that report. On GitHub two workflows do; here this program does. It takes the very request that the
/// templates of argocd/install make for GitHub, so only the address of the service changes, keeps the report
/// in a folder before it answers, and works the folder off: the oldest first, one at a time for each
/// environment. Killed or restarted, it goes on where it was; a report that comes twice changes nothing.
///
/// Alertmanager's alerts about drift come the same way and start `xtask retrain`, which trains here, or has a
/// workflow do it (`XTASK_DISPATCH`): which alerts are sent is said where Alertmanager routes them.
///
/// `xtask` finds main by the variables `XTASK_REMOTE` and `XTASK_CLONE`, or in the checkout that this is
/// started in. It is tried again where it says so (exit status 75). What a human has to look at (4), and
/// what could not be handled at all, is posted to --page-url until that takes it.
#[derive(Debug, Parser)]
#[command(name = "gitops-listen", version, after_help = ADDRESSES)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

const ADDRESSES: &str = "\
Addresses:
  POST /repos/OWNER/NAME/actions/workflows/{rollback,deployed}.yml/dispatches
                 a report as GitHub takes it: {\"ref\":\"main\",\"inputs\":{\"report\":\"…\"}}
  POST /{rollback,deployed}.yml/dispatches   the same
  POST /events   the report itself
  POST /alerts   what Alertmanager's webhook sends, for `xtask retrain --alert`
  GET  /healthz  whether it lives
  GET  /readyz   whether it takes reports and handles them
  GET  /metrics  for Prometheus

204 means that the report is kept. Reports need `Authorization: Bearer TOKEN`.

Exit status:
  0   ended by SIGTERM or SIGINT; what waits is in the spool
  1   something that it needs failed
  64  the command line or the environment cannot be used";

const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help on a closed pipe: nobody is left to be told.
            drop(error.print());
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let config = match Config::try_from(cli.options) {
        Ok(config) => config,
        Err(mistakes) => {
            say(&mistakes.to_string());
            return ExitCode::from(USAGE);
        }
    };
    match serve::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whoever closed stderr does not read it.
fn say(sentence: &str) {
    drop(writeln!(stderr(), "error: {sentence}"));
}
