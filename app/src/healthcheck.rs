//! `healthcheck`: `/readyz` of the service on this machine, for container engines.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use ureq::tls::TlsConfig;

use crate::config::address;

const LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the service listens, as it was told
    #[arg(long, env, default_value = "127.0.0.1:8000", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
    /// Where it answers probes, if they have a port of their own
    #[arg(long, env, value_name = "ADDRESS", value_parser = set_address)]
    admin_listen: Option<SetAddress>,
    /// Its certificate, if it has one
    #[arg(long, env, value_name = "FILE")]
    tls_cert_file: Option<String>,
}

/// None where a variable is set to nothing.
type SetAddress = Option<SocketAddr>;

fn set_address(text: &str) -> Result<SetAddress, String> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let url = args.url();
    // Its certificate names the service and not this machine, to which nobody comes between.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(LIMIT))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let answer = agent.get(&url).call().with_context(|| format!("{url} does not answer"))?;
    if !answer.status().is_success() {
        bail!("{url} answers {}", answer.status());
    }
    Ok(())
}

impl Args {
    fn url(&self) -> String {
        let speaks_tls = self.tls_cert_file.as_deref().is_some_and(|file| !file.is_empty());
        let (scheme, address) = match self.admin_listen.flatten() {
            Some(admin) => ("http", admin),
            None if speaks_tls => ("https", self.listen),
            None => ("http", self.listen),
        };
        format!("{scheme}://{}/readyz", reachable(address))
    }
}

/// Nothing can be sent to "every address of this machine", but to itself.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_port_that_has_the_probes_is_asked_as_it_speaks() {
        let check = |args: &[&str], url: &str| {
            let args = ["healthcheck", "--listen", "[::]:8000"].iter().chain(args);
            let program = <Program as clap::Parser>::try_parse_from(args).unwrap();
            assert_eq!(program.args.url(), url);
        };
        check(&[], "http://[::1]:8000/readyz");
        check(&["--admin-listen="], "http://[::1]:8000/readyz");
        check(&["--tls-cert-file", "c"], "https://[::1]:8000/readyz");
        check(&["--tls-cert-file", "c", "--admin-listen", "[::]:1"], "http://[::1]:1/readyz");
    }

    #[test]
    fn every_address_of_this_machine_is_asked_at_its_own() {
        let check = |listen: &str, asked: &str| {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        };
        check("0.0.0.0:80", "127.0.0.1:80");
        check("[::]:80", "[::1]:80");
        check("10.1.2.3:80", "10.1.2.3:80");
    }
}
