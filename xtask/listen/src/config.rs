//! [`Config`]: everything that is decided outside of the program. Read once, from flags and environment,
//! and checked as a whole before anything is opened.

mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use self::values::{access, address, count, duration, page_url, port, xtask};
use crate::auth::Access;

/// Flags and environment as text; [`Config`] is what they mean, or all that is wrong with them.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Address to listen on; other machines reach only what is not loopback
    #[arg(long, env = "LISTEN_ADDRESS", default_value = "127.0.0.1", value_name = "ADDRESS")]
    address: String,
    /// Port to listen on
    #[arg(long, env = "LISTEN_PORT", default_value = "8080", value_name = "PORT")]
    port: String,
    /// Folder in which accepted reports wait; it must outlive the program
    #[arg(long, env = "LISTEN_SPOOL", value_name = "DIR")]
    spool: Option<PathBuf>,
    /// File with the token that callers must bear; read for every report, so a new one counts at once
    #[arg(long, env = "LISTEN_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token itself. Prefer the variable or the file: every user of the machine sees arguments
    #[arg(long, env = TOKEN, hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The program that handles a report [default: beside this one, else on the PATH]
    #[arg(long, env = "LISTEN_XTASK", value_name = "FILE")]
    xtask: Option<PathBuf>,
    /// Where a report that a human has to look at is posted, as Markdown [default: the log only]
    #[arg(long, env = "LISTEN_PAGE_URL", hide_env_values = true, value_name = "URL")]
    page_url: Option<String>,
    /// Longest that one report may be worked on
    #[arg(long, env = "LISTEN_RUN_LIMIT", default_value = "15m", value_name = "TIME")]
    run_limit: String,
    /// First pause before something is tried again; it doubles each time
    #[arg(long, env = "LISTEN_RETRY_AFTER", default_value = "5s", value_name = "TIME")]
    retry_after: String,
    /// How often a report is tried that could not be decided
    #[arg(long, env = "LISTEN_TRIES", default_value = "12", value_name = "COUNT")]
    tries: String,
    /// How long after SIGTERM what is running may go on
    #[arg(long, env = "LISTEN_GRACE", default_value = "25s", value_name = "TIME")]
    grace: String,
    /// Reports that may wait; more are refused with 503
    #[arg(long, env = "LISTEN_QUEUE", default_value = "1000", value_name = "COUNT")]
    queue: String,
    /// Handled reports that are kept to look at
    #[arg(long, env = "LISTEN_KEEP", default_value = "200", value_name = "COUNT")]
    keep: String,
    /// What to log: error, warn, info, debug or trace, also by part
    #[arg(long, env = "LISTEN_LOG", default_value = "info", value_name = "LEVELS")]
    log: String,
}

/// What no program that we start may see.
pub(crate) const TOKEN: &str = "LISTEN_TOKEN";

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) spool: PathBuf,
    pub(crate) access: Access,
    pub(crate) xtask: PathBuf,
    pub(crate) page_url: Option<String>,
    pub(crate) run_limit: Duration,
    pub(crate) retry_after: Duration,
    pub(crate) tries: usize,
    pub(crate) grace: Duration,
    pub(crate) queue: usize,
    pub(crate) keep: usize,
    pub(crate) log: Targets,
}

/// Every mistake, one per line.
#[derive(Debug)]
pub(crate) struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))?;
        f.write_str("\n\nhint: `gitops-listen --help` lists every flag with its variable")
    }
}

impl TryFrom<Options> for Config {
    type Error = Mistakes;

    fn try_from(options: Options) -> Result<Self, Mistakes> {
        let mut found = Mistakes(Vec::new());
        match read(options, &mut found) {
            Some(config) if found.0.is_empty() => Ok(config),
            _ => Err(found),
        }
    }
}

fn read(options: Options, found: &mut Mistakes) -> Option<Config> {
    let address = found.check("address", address(&options.address));
    let port = found.check("port", port(&options.port));
    let spool = set(options.spool).ok_or("missing: where do reports wait?".to_owned());
    let spool = found.check("spool", spool);
    let access =
        found.check("token-file", access(set(options.token_file), options.token.as_deref()));
    let xtask = found.check("xtask", xtask(set(options.xtask)));
    let page_url = found.check("page-url", page_url(options.page_url));
    let run_limit = found.check("run-limit", duration(&options.run_limit));
    let retry_after = found.check("retry-after", duration(&options.retry_after));
    let tries = found.check("tries", count(&options.tries));
    let grace = found.check("grace", duration(&options.grace));
    let queue = found.check("queue", count(&options.queue));
    let keep = found.check("keep", count(&options.keep));
    let log = options.log.parse().map_err(|_error| format!("`{}` is not like `info`", options.log));
    let log = found.check("log", log);
    Some(Config {
        listen: SocketAddr::new(address?, port?),
        spool: spool?,
        access: access?,
        xtask: xtask?,
        page_url: page_url?,
        run_limit: run_limit?,
        retry_after: retry_after?,
        tries: tries?,
        grace: grace?,
        queue: queue?,
        keep: keep?,
        log: log?,
    })
}

/// Set to nothing, a variable is as good as not set.
fn set(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

impl Mistakes {
    fn check<T>(&mut self, flag: &str, value: Result<T, String>) -> Option<T> {
        let variable = format!("LISTEN_{}", flag.to_uppercase().replace('-', "_"));
        let told = |mistake| self.0.push(format!("--{flag} ({variable}): {mistake}"));
        value.map_err(told).ok()
    }
}

#[cfg(test)]
mod tests;
