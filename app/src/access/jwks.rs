//! [`KeySource`]: an issuer's public keys (JWKS, RFC 7517), from a file or an address. Keys change: a file is
//! read again when it does, an address is asked again for a key that nobody has seen, and every few minutes,
//! so that keys which were withdrawn end too.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use poem::http::Uri;
use prometheus::IntGauge;
use protocol::problem::{Code, Refusal};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep};

use super::unauthenticated;
use crate::outgoing;
use crate::reload::{Reloaded, Source};

/// Never `none`, and nothing where the key that verifies could sign as well.
pub(super) const SUPPORTED: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

const REFRESH: Duration = Duration::from_mins(5);
/// Whoever sends tokens of made-up keys makes us ask no more often than that.
const REFETCH_PAUSE: Duration = Duration::from_secs(10);
const FETCH_LIMIT: Duration = Duration::from_secs(5);
const LARGEST: u64 = 1 << 20;

#[derive(Debug)]
pub struct SigningKey {
    id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

#[derive(Debug)]
pub struct KeySet(Vec<Arc<SigningKey>>);

impl KeySet {
    /// The keys that are good for one of ours algorithms; a set may hold others.
    fn parse(json: &[u8]) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(json)
            .map_err(|error| format!("this is no set of keys (JWKS): {error}"))?;
        let keys: Vec<_> = set.keys.iter().filter_map(signing_key).map(Arc::new).collect();
        match keys.len() {
            0 => Err("there is no key in it for RS256, ES256 or EdDSA".to_owned()),
            _ => Ok(Self(keys)),
        }
    }

    /// A token need not name its key where there is one only.
    fn find(&self, id: Option<&str>) -> Option<Arc<SigningKey>> {
        match (id, self.0.as_slice()) {
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
            (Some(_), keys) => keys.iter().find(|key| key.id.as_deref() == id).cloned(),
        }
    }
}

fn signing_key(jwk: &Jwk) -> Option<SigningKey> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let common = &jwk.common;
    let is_for = common.key_algorithm.is_none_or(|named| named == algorithm.into());
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let key = DecodingKey::from_jwk(jwk).ok().filter(|_| is_for && signs)?;
    Some(SigningKey { id: common.key_id.clone(), algorithm, key })
}

#[derive(Debug)]
pub(super) enum KeySource {
    File(Arc<Reloaded<KeySet, 1>>),
    Address(Arc<Remote>),
}

impl KeySource {
    pub(super) fn open(place: &str) -> Result<Self, String> {
        if let Some(uri) = place.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some()) {
            return Remote::new(place, &uri).map(Arc::new).map(Self::Address);
        }
        let open =
            Reloaded::open(Source::TokenKeys, [Path::new(place)], |[json]| KeySet::parse(json));
        open.map(Self::File)
    }

    pub(super) async fn find(&self, id: Option<&str>) -> Result<Arc<SigningKey>, Refusal> {
        let found = match self {
            Self::File(set) => set.get().find(id),
            Self::Address(remote) => remote.find(id).await?,
        };
        found.ok_or_else(|| unauthenticated("the key that signed the token is not known here"))
    }

    /// Never ends.
    pub(super) async fn follow(self: Arc<Self>, succeeded: IntGauge) {
        match &*self {
            Self::File(set) => Arc::clone(set).follow(succeeded).await,
            Self::Address(remote) => loop {
                let is_known = remote.fetch().await;
                succeeded.set(is_known.into());
                sleep(if is_known { REFRESH } else { REFETCH_PAUSE }).await;
            },
        }
    }
}

#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    agent: ureq::Agent,
    set: RwLock<Option<Arc<KeySet>>>,
    /// When a token last made us ask in vain.
    asked: Arc<Mutex<Option<Instant>>>,
}

impl Remote {
    /// Keys that came in clear could be anyone's, but from this machine.
    fn new(url: &str, uri: &Uri) -> Result<Self, String> {
        let is_local = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_local => {}
            _ => return Err("keys come from a file, or over https".to_owned()),
        }
        let agent = outgoing::agent(FETCH_LIMIT);
        Ok(Self { url: url.to_owned(), agent, set: RwLock::default(), asked: Arc::default() })
    }

    fn known(&self) -> Option<Arc<KeySet>> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn key(&self, id: Option<&str>) -> Option<Arc<SigningKey>> {
        self.known().and_then(|set| set.find(id))
    }

    async fn find(self: &Arc<Self>, id: Option<&str>) -> Result<Option<Arc<SigningKey>>, Refusal> {
        if let Some(key) = self.key(id) {
            return Ok(Some(key));
        }
        // Whoever waits for another's question does so only as long as its caller is there.
        let asked = Arc::clone(&self.asked).lock_owned().await;
        // The question is a task of its own: what it learns is for all, also where this caller hangs up.
        let learning = tokio::spawn(Arc::clone(self).learn(asked, id.map(str::to_owned)));
        if let Err(error) = learning.await {
            tracing::error!(%error, "asking for the keys of tokens failed");
        }
        match self.known() {
            Some(set) => Ok(set.find(id)),
            None => Err(Refusal::new(Code::Unavailable, "tokens cannot be judged right now")),
        }
    }

    /// One asks, and the others wait for what it learns.
    async fn learn(
        self: Arc<Self>,
        mut asked: OwnedMutexGuard<Option<Instant>>,
        id: Option<String>,
    ) {
        let is_too_soon = asked.is_some_and(|at| at.elapsed() < REFETCH_PAUSE);
        if is_too_soon || self.key(id.as_deref()).is_some() {
            return;
        }
        *asked = Some(Instant::now());
        self.fetch().await;
        if self.key(id.as_deref()).is_some() {
            // It was there to be found, so the next one may be too.
            *asked = None;
        }
    }

    /// Whether the keys could be had. Those that are known stay where not.
    async fn fetch(&self) -> bool {
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let fetched = tokio::task::spawn_blocking(move || {
            let mut answer = agent.get(&url).call().map_err(|error| error.to_string())?;
            let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
            KeySet::parse(&body.map_err(|error| error.to_string())?)
        });
        match fetched.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(set) => {
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(set));
                true
            }
            Err(error) => {
                tracing::error!(url = self.url, error, "the keys of tokens cannot be fetched");
                false
            }
        }
    }
}
