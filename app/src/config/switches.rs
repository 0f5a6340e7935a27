//! [`Switches`]: who may call, how often, from which pages and over what. Each is off unless it is set,
//! and a start tells which are.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::Mistakes;
use super::values::address;
use crate::access::Access;
use crate::access::cors::Origins;
use crate::access::keys::Keys;
use crate::access::rate::{Limiter, Rate};
use crate::access::tokens::{Audience, Tokens};
use crate::connections::tls::Tls;
use crate::reload::{Reloaded, Source};

/// All are off by default
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access, off unless set")]
pub struct Options {
    /// Hashed API keys, a line each as `mnist-api key` prints it; read again when it changes. Callers
    /// then need a key or a token
    #[arg(long, env, value_name = "FILE")]
    api_keys_file: Option<String>,
    /// Key set (JWKS) by which signed tokens (JWT) are judged: a file, or an https address that is asked
    /// again when keys change. Callers then need a key or a token
    #[arg(long, env, value_name = "FILE|URL")]
    jwt_keys: Option<String>,
    /// Who must have issued a token: its `iss`
    #[arg(long, env, value_name = "ISSUER")]
    jwt_issuer: Option<String>,
    /// Whom a token must be for: its `aud`
    #[arg(long, env, value_name = "AUDIENCE")]
    jwt_audience: Option<String>,
    /// Requests of one client, such as 50/s or 600/m: so many at once and in the long run; more are
    /// refused with 429. A client is a key's name, a token's subject, or else the address that connects
    #[arg(long, env, value_name = "COUNT/TIME")]
    rate_limit: Option<String>,
    /// Certificate chain in PEM; --listen then speaks TLS only. Read again when it changes
    #[arg(long, env, value_name = "FILE")]
    tls_cert_file: Option<String>,
    /// Its key in PEM
    #[arg(long, env, value_name = "FILE")]
    tls_key_file: Option<String>,
    /// Origins whose pages may call, such as `https://example.com`, separated by commas; `*` for all
    #[arg(long, env, value_name = "ORIGINS")]
    cors_origins: Option<String>,
    /// A port of its own for /metrics, /livez and /readyz, without TLS and keys; --listen then has them
    /// no more
    #[arg(long, env, value_name = "ADDRESS")]
    admin_listen: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Switches {
    pub access: Arc<Access>,
    pub tls: Option<Tls>,
    pub admin_listen: Option<SocketAddr>,
}

pub(super) fn read(options: &Options, found: &mut Mistakes) -> Switches {
    let keys = found.check_set("api-keys-file", options.api_keys_file.as_deref(), |file| {
        Reloaded::open(Source::ApiKeys, [Path::new(file)], |[text]| Keys::parse(text))
    });
    let audience = audience(options, found);
    let tokens = found
        .check_set("jwt-keys", options.jwt_keys.as_deref(), |place| Tokens::new(place, audience));
    let rate = found.check_set("rate-limit", options.rate_limit.as_deref(), str::parse::<Rate>);
    let origins = options.cors_origins.as_deref();
    let origins = found.check_set("cors-origins", origins, str::parse::<Origins>);
    Switches {
        access: Arc::new(Access::new(keys, tokens, rate.map(Limiter::new), origins)),
        tls: tls(options, found),
        admin_listen: found.check_set("admin-listen", options.admin_listen.as_deref(), address),
    }
}

fn audience(options: &Options, found: &mut Mistakes) -> Audience {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (set(&options.jwt_keys), set(&options.jwt_issuer), set(&options.jwt_audience)) {
        (None, None, None) => {}
        (Some(_), Some(issuer), Some(audience)) => return Audience { issuer, audience },
        _ => found.add(
            "--jwt-keys (JWT_KEYS), --jwt-issuer (JWT_ISSUER) and --jwt-audience (JWT_AUDIENCE) go \
             together: a token for another service must not pass here"
                .to_owned(),
        ),
    }
    Audience::default()
}

fn tls(options: &Options, found: &mut Mistakes) -> Option<Tls> {
    match (options.tls_cert_file.clone(), options.tls_key_file.clone()) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            let open = |cert: &str| Tls::open(Path::new(cert), Path::new(&key));
            found.check("tls-cert-file", &cert, open)
        }
        _ => {
            found.add(
                "--tls-cert-file (TLS_CERT_FILE) and --tls-key-file (TLS_KEY_FILE) go together"
                    .to_owned(),
            );
            None
        }
    }
}

impl Switches {
    /// Names of what is on, then of what is off.
    pub fn told(&self) -> [String; 2] {
        let [keys, tokens, rate, cors] = self.access.switches();
        let all = [
            ("API keys", keys),
            ("tokens", tokens),
            ("rate limit", rate),
            ("TLS", self.tls.is_some()),
            ("CORS", cors),
            ("admin port", self.admin_listen.is_some()),
        ];
        [true, false].map(|wanted| {
            let names = all.iter().filter(|(_, on)| *on == wanted).map(|(name, _)| *name);
            names.collect::<Vec<_>>().join(", ")
        })
    }
}
