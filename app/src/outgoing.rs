//! How the service asks places that its settings name: where keys are, where spans go. Only they are asked.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// Follows no redirect and asks no proxy: what a variable names would come between, and nobody said so to us.
pub(crate) fn agent(limit: Duration) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .tls_config(tls)
        .proxy(None)
        .build()
        .into()
}
