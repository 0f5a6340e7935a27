//! [`Receipt`]: what an answer said, carried by its caller, so that any replica believes it later and none
//! has to remember it.
//!
//! Sealed, not encrypted: it holds nothing that the answer does not say, and nobody without a key makes one.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::manifest::ModelVersion;
use contract::prediction::Label;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt<'a> {
    pub request_id: Cow<'a, str>,
    /// Place of the image in its request.
    pub image: usize,
    /// The predicted class.
    pub label: Label,
    pub model_version: Cow<'a, ModelVersion>,
    /// When it was issued, in milliseconds since 1970.
    pub issued: u64,
}

/// What tells one receipt from every other.
pub type Seal = [u8; 32];

/// Secrets that every replica has. The first seals, all of them open, so a new one can be put in front
/// while receipts of the old one are out.
#[derive(Clone)]
pub struct Keys(Vec<Hmac<Sha256>>);

/// Shorter ones can be guessed.
const SHORTEST: usize = 32;

/// So that no other use of the same key makes what passes for a receipt.
const PURPOSE: &[u8] = b"receipt 1\n";

#[derive(Debug, thiserror::Error)]
#[error("expected a key per line, each of {SHORTEST} or more visible ASCII characters")]
pub struct WeakKey;

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Of a text with one key per line, the newest first.
    pub fn parse(text: &str) -> Result<Self, WeakKey> {
        let key = |line: &str| {
            if line.len() < SHORTEST || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(WeakKey);
            }
            let mut mac = Hmac::new_from_slice(line.as_bytes()).expect("any length is a key");
            mac.update(PURPOSE);
            Ok(mac)
        };
        // Some editors begin a file so.
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(WeakKey) } else { Ok(Self(keys)) }
    }

    /// As text that survives JSON, URLs and shells.
    pub fn seal(&self, receipt: &Receipt<'_>) -> String {
        let said = serde_json::to_vec(receipt).expect("its keys are strings and no part fails");
        let mut sealed = self.0[0].clone().chain_update(&said).finalize().into_bytes().to_vec();
        sealed.extend(said);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Nothing where it was not sealed by one of the keys. Compared in constant time.
    pub fn open(&self, text: &str) -> Option<(Receipt<'static>, Seal)> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (seal, said) = sealed.split_first_chunk::<32>()?;
        let seals = |key: &Hmac<Sha256>| key.clone().chain_update(said).verify_slice(seal).is_ok();
        if !self.0.iter().any(seals) {
            return None;
        }
        Some((serde_json::from_slice(said).ok()?, *seal))
    }
}

#[cfg(test)]
mod tests {
    use contract::digest::Digest;

    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn receipt(request_id: &str) -> Receipt<'_> {
        Receipt {
            request_id: request_id.into(),
            image: 1,
            label: 7,
            model_version: Cow::Owned(ModelVersion::of(&Digest::of(b"weights"))),
            issued: 1_764_000_000_000,
        }
    }

    #[test]
    fn a_receipt_opens_to_what_was_sealed_and_only_with_its_key() {
        let (old, new) = (Keys::parse(OLD).unwrap(), Keys::parse(NEW).unwrap());
        let receipt = receipt("order-66/\"a\"");
        let sealed = old.seal(&receipt);
        assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(old.open(&sealed).unwrap().0, receipt);
        assert!(new.open(&sealed).is_none());
    }

    #[test]
    fn a_new_key_comes_while_receipts_of_the_old_one_are_out() {
        let both = Keys::parse(&format!("\u{feff}{NEW}\n\n {OLD}\r\n")).unwrap();
        let (old, new) = (Keys::parse(OLD).unwrap(), Keys::parse(NEW).unwrap());
        assert!(both.open(&old.seal(&receipt("r"))).is_some());
        assert!(new.open(&both.seal(&receipt("r"))).is_some());
    }

    #[test]
    fn no_change_to_a_receipt_goes_unnoticed() {
        let keys = Keys::parse(OLD).unwrap();
        let sealed = keys.seal(&receipt("r"));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(keys.open(std::str::from_utf8(&changed).unwrap()).is_none(), "{at}");
            assert!(keys.open(&sealed[..at]).is_none(), "{at}");
        }
        for wrong in ["", "é", &format!("{sealed}A"), &format!("{sealed}=")] {
            assert!(keys.open(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_can_be_guessed_is_none_and_none_is_shown() {
        for weak in ["", " \n", &OLD[1..], &format!("{OLD}\nshort"), &format!("{OLD} {OLD}")] {
            assert!(Keys::parse(weak).is_err(), "{weak}");
        }
        assert!(!format!("{:?}", Keys::parse(OLD).unwrap()).contains("0123"));
    }
}
