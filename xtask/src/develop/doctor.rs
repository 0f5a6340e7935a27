//! `doctor`: what this machine, the repository's host and the cluster have of what the loop needs. It looks and
//! changes nothing; whatever is missing comes with the command to get it.

pub(crate) mod cluster;
mod github;
mod here;

use crate::deliver::ending::{Ending, Stop, end};
use crate::identity::Identity;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::data;

/// Say what is there, what is missing, and how to get it
///
/// Without a flag: programs and files of this machine. What only some commands need says which.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Ask GitHub too, by `gh`: ruleset, the bot's key, workflows
    #[arg(long)]
    github: bool,
    /// Ask the cluster of the current context too, by `kubectl`: Argo CD, its settings and secrets
    #[arg(long)]
    cluster: bool,
}

/// One thing that was looked for.
pub(crate) struct Finding {
    name: &'static str,
    /// What is there, or what is wrong and what to do.
    state: Result<String, Lack>,
}

struct Lack {
    what: String,
    hint: String,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        let mut findings = here::findings(repo);
        if self.github || self.cluster {
            let identity = Identity::read(repo)?;
            if self.github {
                findings.extend(github::findings(repo, &identity)?);
            }
            if self.cluster {
                findings.extend(cluster::findings(repo, &identity)?);
            }
        }
        end(tell(&findings))
    }
}

/// Nothing of it may be missing.
pub(crate) fn demand(findings: &[Finding]) -> anyhow::Result<()> {
    end(tell(findings))
}

fn tell(findings: &[Finding]) -> Result<(), Stop> {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut missing = 0;
    for Finding { name, state } in findings {
        match state {
            Ok(found) => data(format_args!("ok       {name:width$}  {found}")),
            Err(Lack { what, hint }) => {
                missing += 1;
                data(format_args!(
                    "missing  {name:width$}  {what}\n         {:width$}  hint: {hint}",
                    ""
                ));
            }
        }
    }
    if missing == 0 {
        return Ok(());
    }
    let what = anyhow::anyhow!("{missing} of {} are missing", findings.len());
    Err(Stop::new(Ending::Findings, what, "each is told above, with its own hint"))
}

/// `state` is what is there, or what is wrong.
pub(crate) fn finding(
    name: &'static str,
    state: Result<String, String>,
    hint: impl Into<String>,
) -> Finding {
    Finding { name, state: state.map_err(|what| Lack { what, hint: hint.into() }) }
}

/// What a program prints, or the last line of its complaint.
fn ask(repo: &Repo, program: &str, args: &[&str]) -> Result<String, String> {
    let ended =
        Cmd::new(program, repo.root()).args(args).end().map_err(|error| format!("{error:#}"))?;
    if ended.success {
        return Ok(ended.stdout.trim().to_owned());
    }
    let complaint = ended.stderr.trim().lines().last().unwrap_or("it says nothing").to_owned();
    Err(format!("{program}: {complaint}"))
}
