//! [`Keys`]: who may call with which key. The file holds hashes, so that whoever reads it can call nobody's
//! name; keys are long and random, so that a fast hash is enough.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::digest::Digest;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use super::scope::Scopes;

/// What secret scanners may look for.
const PREFIX: &str = "ak_";
const RANDOM_BYTES: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose key it is: limits and pseudonyms go by it. Two keys may have one, so that a new key can be
    /// handed on before the old one goes.
    pub name: String,
    digest: Digest,
    pub scopes: Scopes,
}

#[derive(Debug)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// A key a line: its name, the SHA-256 of it and its scopes. Without a line nobody is let in: that is how
    /// the last key is revoked. What is wrong is told by the line's number: the line itself may hold a key.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(file).map_err(|_error| "the keys are not text".to_owned())?;
        // Some editors begin a file so.
        let text = text.trim_start_matches('\u{feff}');
        let mut keys: Vec<Key> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key: Key = line.parse().map_err(|error| format!("line {number}: {error}"))?;
            if keys.iter().any(|other| other.digest == key.digest) {
                return Err(format!("line {number}: this key is there twice"));
            }
            keys.push(key);
        }
        let keys = Self(keys);
        keys.warn_if_empty();
        Ok(keys)
    }

    /// Of the file that a service starts with, the log hears nothing before it is there.
    pub fn warn_if_empty(&self) {
        if self.0.is_empty() {
            tracing::warn!("there is no API key in the file: every key is refused");
        }
    }

    /// Compares with all of them, so that the time it takes tells nothing.
    pub fn find(&self, given: &str) -> Option<Key> {
        let given = Digest::of(given.as_bytes());
        let is_given = |key: &&Key| bool::from(key.digest.bytes().ct_eq(given.bytes()));
        self.0
            .iter()
            .fold(None, |found, key| if is_given(&key) { Some(key) } else { found })
            .cloned()
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, digest, scopes] = words[..] else {
            return Err("not `NAME sha256:… SCOPE,SCOPE`".to_owned());
        };
        let digest = digest
            .parse()
            .map_err(|_error| "the second word is not the SHA-256 of a key".to_owned())?;
        Ok(Self { name: self::name(name)?, digest, scopes: scopes.parse()? })
    }
}

/// Of a client: it must stand in one line with other words.
pub fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`".to_owned())
    }
}

/// A new key, and its line for the file.
pub fn mint(name: &str, scopes: Scopes) -> anyhow::Result<(String, String)> {
    let mut bytes = [0; RANDOM_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_error| anyhow::anyhow!("the system gives no random bytes"))?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let line = format!("{name} {} {scopes}", Digest::of(key.as_bytes()));
    Ok((key, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_opens_by_its_line_and_no_other_does() {
        let (key, line) = mint("shop", "predict".parse().unwrap()).unwrap();
        let (other, other_line) = mint("lab", "admin".parse().unwrap()).unwrap();
        assert_ne!(key, other);
        let file = format!("\u{feff}# keys\n\n{line}\n  {other_line}\n");
        assert!(!file.contains(&key));
        let keys = Keys::parse(file.as_bytes()).unwrap();
        let found = |given: &str| keys.find(given).map(|key| (key.name, key.scopes.to_string()));
        assert_eq!(found(&key), Some(("shop".to_owned(), "predict".to_owned())));
        assert_eq!(found(&other), Some(("lab".to_owned(), "admin".to_owned())));
        for wrong in ["", &key[1..], &format!("{key} "), "shop", &line] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_without_a_key_lets_nobody_in() {
        let (key, _) = mint("shop", "predict".parse().unwrap()).unwrap();
        for file in ["", "# none\n", "\u{feff}"] {
            let keys = Keys::parse(file.as_bytes()).unwrap();
            for given in [key.as_str(), ""] {
                assert_eq!(keys.find(given), None);
            }
        }
    }

    #[test]
    fn mistakes_are_told_by_their_line_and_never_show_it() {
        let digest = Digest::of(b"key");
        let check = |file: &str, told: &str| {
            let error = Keys::parse(file.as_bytes()).unwrap_err();
            assert!(error.contains(told) && !error.contains("secret"), "{error}");
        };
        check("secret", "line 1: not `NAME");
        check("\nshop secret predict", "line 2: the second word");
        check(&format!("shop {digest} secret"), "line 1: a scope is none");
        check(&format!("se/cret {digest} predict"), "line 1: a name");
        check(&format!("a {digest} predict\nb {digest} admin"), "line 2: this key is there twice");
        assert!(Keys::parse(&[0xff]).is_err());
    }
}
