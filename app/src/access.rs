//! [`Access`]: whether a request is let in, decided before anything of it is read but its head. All of it
//! is off by default; then this costs nothing and lets everyone in.
//!
//! [`scope`] says what each route asks of its caller, [`keys`] and [`tokens`] know who a caller is and what
//! they may do, [`rate`] how much, and [`cors`] from which pages. Who called is told nowhere: logs have a
//! [`Pseudonym`].

pub mod cors;
pub mod jwks;
pub mod keys;
pub mod rate;
pub mod scope;
pub mod tokens;
mod verifiers;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use poem::http::HeaderMap;
use poem::http::header::AUTHORIZATION;
use poem::{Addr, Request};
use protocol::problem::{Code, Refusal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::cors::Origins;
use self::keys::Keys;
use self::rate::Limiter;
use self::scope::{Needed, Scopes, needed};
use self::tokens::Tokens;
use crate::api::routes::Route;
use crate::reload::{Reloaded, Source};
use crate::telemetry::metrics::Metrics;

pub const API_KEY: &str = "x-api-key";

#[derive(Debug, Default)]
pub struct Access {
    keys: Option<Arc<Reloaded<Keys, 1>>>,
    tokens: Option<Tokens>,
    limiter: Option<Limiter>,
    pub cors: Option<Origins>,
    /// Another one in every process, so that a pseudonym leads nowhere.
    secret: RandomState,
}

/// Stands for a client for as long as this process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pseudonym(u64);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whose request it is, where anything depends on that.
#[derive(Debug, Hash)]
enum Client<'a> {
    Key(&'a str),
    Subject(&'a str),
    Peer(Option<IpAddr>),
}

/// A caller who is known.
#[derive(Debug)]
struct Caller {
    client: Pseudonym,
    scopes: Scopes,
}

impl Access {
    pub fn new(
        keys: Option<Arc<Reloaded<Keys, 1>>>,
        tokens: Option<Tokens>,
        limiter: Option<Limiter>,
        cors: Option<Origins>,
    ) -> Self {
        Self { keys, tokens, limiter, cors, secret: RandomState::new() }
    }

    /// What the log could not be told when the settings were read.
    pub fn warn(&self) {
        if let Some(keys) = &self.keys {
            keys.get().warn_if_empty();
        }
    }

    /// Whether keys, tokens, the rate limit and CORS are on.
    pub fn switches(&self) -> [bool; 4] {
        let Self { keys, tokens, limiter, cors, .. } = self;
        [keys.is_some(), tokens.is_some(), limiter.is_some(), cors.is_some()]
    }

    pub fn follow(&self, metrics: &Metrics, followers: &mut JoinSet<()>) {
        if let Some(keys) = &self.keys {
            followers.spawn(Arc::clone(keys).follow(metrics.reloaded(Source::ApiKeys)));
        }
        if let Some(tokens) = &self.tokens {
            followers.spawn(tokens.follow(metrics.reloaded(Source::TokenKeys)));
        }
    }

    /// Who asks, where that matters, and why not to let them in. Of no route is what no address matches.
    pub async fn admit(
        &self,
        route: Option<Route>,
        request: &Request,
    ) -> (Option<Pseudonym>, Result<(), Refusal>) {
        let needed = match route {
            Some(route) if self.knows_callers() => needed(route),
            _ => Needed::Nothing,
        };
        let is_probe = route.is_some_and(Route::is_polled) && needed == Needed::Nothing;
        if is_probe || (needed == Needed::Nothing && self.limiter.is_none()) {
            return (None, Ok(()));
        }
        let peer = || self.pseudonym(&peer(request));
        let (client, allowed) = match needed {
            Needed::Nothing => (peer(), Ok(())),
            Needed::Scope(scope) => match self.identify(request.headers()).await {
                // Whoever lacks a scope is known, and limited by name all the same.
                Ok(caller) => (caller.client, caller.scopes.allow(scope)),
                Err(refusal) => (peer(), Err(refusal)),
            },
        };
        let within = match &self.limiter {
            Some(limiter) => limiter.take(client, Instant::now()),
            None => Ok(()),
        };
        (Some(client), within.and(allowed))
    }

    fn knows_callers(&self) -> bool {
        self.keys.is_some() || self.tokens.is_some()
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let given = credential(headers)?;
        if let Some(key) = self.keys.as_ref().and_then(|keys| keys.get().find(given)) {
            let client = self.pseudonym(&Client::Key(&key.name));
            return Ok(Caller { client, scopes: key.scopes });
        }
        match &self.tokens {
            Some(tokens) if given.contains('.') => {
                let token = tokens.verify(given).await?;
                let client = self.pseudonym(&Client::Subject(&token.subject));
                Ok(Caller { client, scopes: token.scopes })
            }
            _ => Err(unauthenticated("this key is not known here")),
        }
    }

    fn pseudonym(&self, client: &Client<'_>) -> Pseudonym {
        Pseudonym(self.secret.hash_one(client))
    }
}

pub(crate) fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(Code::Unauthenticated, detail)
}

/// The one key or token of a request: with two, it would be anyone's guess which was meant.
fn credential(headers: &HeaderMap) -> Result<&str, Refusal> {
    let bearers = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(credential)
    });
    let keys = headers.get_all(API_KEY).iter().map(|value| value.to_str().ok());
    let mut given = bearers.chain(keys);
    match (given.next(), given.next()) {
        (None, _) => Err(unauthenticated(
            "a key or a token is needed: `Authorization: Bearer …` or `X-API-Key: …`",
        )),
        (Some(Some(given)), None) => Ok(given.trim()),
        (Some(_), None) => Err(unauthenticated("`Authorization` is not `Bearer` with one word")),
        (Some(_), Some(_)) => Err(unauthenticated("more than one key or token was sent")),
    }
}

/// Of an IPv6 address the network: a host may use all the addresses in it.
fn peer(request: &Request) -> Client<'static> {
    let Addr::SocketAddr(address) = &request.remote_addr().0 else { return Client::Peer(None) };
    Client::Peer(Some(match address.ip().to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }))
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn one_credential_in_either_header_is_read_and_nothing_else() {
        let check = |headers: &[(&'static str, &str)], expected: Option<&str>| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(credential(&map).ok(), expected, "{headers:?}");
        };
        check(&[("authorization", "Bearer k")], Some("k"));
        check(&[("authorization", "bearer  k ")], Some("k"));
        check(&[("x-api-key", "k")], Some("k"));
        check(&[], None);
        check(&[("authorization", "k")], None);
        check(&[("authorization", "Basic k")], None);
        check(&[("authorization", "Bearer k"), ("x-api-key", "k")], None);
        check(&[("x-api-key", "k"), ("x-api-key", "k")], None);
        check(&[("authorization", "Bearer k"), ("authorization", "Basic k")], None);
    }

    #[test]
    fn a_pseudonym_is_the_same_for_one_client_in_one_process_only() {
        let (one, other) = (Access::default(), Access::default());
        let of = |access: &Access, name| access.pseudonym(&Client::Key(name)).to_string();
        assert_eq!(of(&one, "shop"), of(&one, "shop"));
        assert_ne!(of(&one, "shop"), of(&one, "shop2"));
        assert_ne!(of(&one, "shop"), of(&other, "shop"));
        assert_ne!(one.pseudonym(&Client::Subject("shop")), one.pseudonym(&Client::Key("shop")));
    }
}
