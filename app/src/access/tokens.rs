//! [`Tokens`]: signed tokens (JWT) of an issuer that we trust. A token passes where one of the issuer's keys
//! signed it, by the algorithm of that key, for us, and for now.

use std::collections::HashMap;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use prometheus::IntGauge;
use protocol::problem::Refusal;
use serde::Deserialize;

use super::jwks::{KeySource, SUPPORTED};
use super::scope::Scopes;
use super::{unauthenticated, verifiers};

/// How far clocks may be apart.
const LEEWAY_SECONDS: u64 = 30;

/// Who issues tokens, and who we are to them.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    pub issuer: String,
    pub audience: String,
}

#[derive(Debug)]
pub struct Tokens {
    keys: Arc<KeySource>,
    validations: HashMap<Algorithm, Validation>,
}

/// What a token says of its bearer.
#[derive(Debug)]
pub struct Bearer {
    pub subject: String,
    pub scopes: Scopes,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// RFC 9068.
    #[serde(default)]
    scope: Names,
    /// What some issuers have in its place.
    #[serde(default)]
    scp: Names,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    Spaced(String),
    Listed(Vec<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Names {
    fn iter(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Spaced(names) => Box::new(names.split(' ')),
            Self::Listed(names) => Box::new(names.iter().map(String::as_str)),
        }
    }
}

impl Tokens {
    /// `place` is a file or an address with a key set.
    pub fn new(place: &str, audience: Audience) -> Result<Self, String> {
        verifiers::install();
        let Audience { issuer, audience } = audience;
        let validation = |algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.leeway = LEEWAY_SECONDS;
            validation.validate_nbf = true;
            validation.set_issuer(&[&issuer]);
            validation.set_audience(&[&audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            (algorithm, validation)
        };
        let validations = SUPPORTED.into_iter().map(validation).collect();
        Ok(Self { keys: Arc::new(KeySource::open(place)?), validations })
    }

    pub fn follow(&self, succeeded: IntGauge) -> impl Future<Output = ()> + use<> {
        Arc::clone(&self.keys).follow(succeeded)
    }

    pub async fn verify(&self, token: &str) -> Result<Bearer, Refusal> {
        // Of an algorithm that we do not know, `none` among them, there is no header either.
        let header = decode_header(token)
            .map_err(|_error| unauthenticated("this is no token of a kind that is taken here"))?;
        if header.crit.is_some() {
            return Err(unauthenticated("the token has a critical extension"));
        }
        let key = self.keys.find(header.kid.as_deref()).await?;
        // Ours is the choice of the algorithm, never the token's.
        let claims = decode::<Claims>(token, &key.key, &self.validations[&key.algorithm])
            .map_err(|error| unauthenticated(told(error.kind())))?
            .claims;
        if claims.sub.trim().is_empty() {
            return Err(unauthenticated("the token names nobody: its sub is empty"));
        }
        let scopes = Scopes::among(claims.scope.iter().chain(claims.scp.iter()));
        Ok(Bearer { subject: claims.sub, scopes })
    }
}

fn told(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for somebody else",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of exp, iss, aud and sub",
        _ => "the token is not valid here",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of a key that nobody has any more, signed by OpenSSL, for `a` by `i` until 2100.
    const TOKEN: &str = concat!(
        "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6InNob3AiLCJleHA",
        "iOjQxMDI0NDQ4MDAsInNjb3BlIjoicHJlZGljdCJ9.eQbXqU-8NNy8VelZLg10piA95yhmhSuAl7MK-0cfchrAmM",
        "7qJzO-AgzApSdUb7VbGDsey8O0DmGWPCJOYQ5NJr-I6p8tDyjqtxGgXTgJc0FAeoFnd2LcLg5XsescKM22LYB_Dx",
        "8avCNmR3niVR_HdNHjJGRqDKFRNqKahx3DvKu-3nWN8Ton5T7IiXEeqw3-WtsnQT-mGbak4abUiL9isUjGOlC5v7",
        "CJS2pPgBZf0fW7BD3YoO7NMYpL9U0_WiaFPaq9T3p4jjA3-MClyiZE0-bshIerqwDuhA7MUpr18n78FltfMaVOeZ",
        "bm2hCKrs1GP0PIaoQWAi-CwtouxDJVpQ",
    );
    const MODULUS: &str = concat!(
        "1VKlvKAues0feRopZhih6LQQ7Rj2g9rNU_jVCJ5Vt638SZriASmbAcSpozT2ONdBLSsyvrCWeX9JaE6xqm6FUd1z",
        "6erf5_8wk5cgUvHE1sdup7klanlyNxJA90uMd2gSiD2PNrdsM2Rc30CAkTgRolx8QqqAlY-er_nRRMpm8067VGQD",
        "C5qG43MctdH7nghYQdsQOqJPwiPPJ71Dg_BqnFL_KDHn8XIC0jFC5WxRyVWiu3RtdNReWN8ari5aNhY46YwLl2gA",
        "m-PBikr6vZRuceDqVKd9ncig6Y-P4aV9eLf_qpdKtTNMur0dN3i_k2snfwsPjgp6tuHThvUgNw3xCw",
    );

    async fn verify(modulus: &str, token: &str) -> Result<Bearer, Refusal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = json!({ "kid": "rsa", "kty": "RSA", "n": modulus, "e": "AQAB" });
        fs_err::write(file.path(), json!({ "keys": [key] }).to_string()).unwrap();
        let audience = Audience { issuer: "i".to_owned(), audience: "a".to_owned() };
        Tokens::new(file.path().to_str().unwrap(), audience).unwrap().verify(token).await
    }

    #[tokio::test]
    async fn a_token_that_another_program_signed_with_rsa_is_verified() {
        let bearer = verify(MODULUS, TOKEN).await.unwrap();
        assert_eq!(
            (bearer.subject.as_str(), bearer.scopes.to_string()),
            ("shop", "predict".to_owned())
        );
        let forged = format!("{}A", &TOKEN[..TOKEN.len() - 1]);
        let short = &MODULUS[..168];
        for (modulus, token) in [(MODULUS, forged.as_str()), (short, TOKEN)] {
            assert!(verify(modulus, token).await.is_err());
        }
    }
}
