//! Who may report: [`Access`] knows the one token, and compares it without telling how much of it was right.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use poem::http::HeaderMap;
use poem::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// What is compared: of the same length for every token.
#[derive(Clone)]
pub(crate) struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;
const LONGEST: usize = 4096;

impl Token {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fits = (SHORTEST..=LONGEST).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self::of(text.as_bytes()));
        }
        Err(format!("the token is not {SHORTEST} or more visible ASCII characters"))
    }

    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(given).0).into()
    }
}

#[derive(Debug)]
pub(crate) enum Access {
    Fixed(Token),
    /// Read for every report: reports are rare, and a token that was replaced must not work any more.
    File(PathBuf),
}

impl Access {
    pub(crate) fn of_file(file: PathBuf) -> Result<Self, String> {
        let access = Self::File(file);
        access.token().map_err(|error| format!("{error:#}"))?;
        Ok(access)
    }

    /// An error where the file cannot be read: then nobody is let in.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> anyhow::Result<bool> {
        let token = self.token()?;
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(only), None) = (given.next(), given.next()) else { return Ok(false) };
        Ok(bearer(only.as_bytes()).is_some_and(|given| token.is(given)))
    }

    pub(crate) fn token(&self) -> anyhow::Result<Token> {
        match self {
            Self::Fixed(token) => Ok(token.clone()),
            Self::File(file) => {
                let text = fs_err::read_to_string(file)?;
                Token::new(&text)
                    .map_err(anyhow::Error::msg)
                    .with_context(|| format!("in `{}`", file.display()))
            }
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    const RIGHT: &str = "0123456789abcdef";

    fn admits(access: &Access, values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        access.admits(&headers).unwrap()
    }

    #[test]
    fn one_header_with_the_whole_token_is_let_in_and_nothing_else() {
        let access = Access::Fixed(Token::new(RIGHT).unwrap());
        let right = format!("Bearer {RIGHT}");
        assert!(admits(&access, &[&right]));
        assert!(admits(&access, &[&right.replace("Bearer", "bearer")]));
        let (longer, shorter) = (format!("{right}0"), right[..right.len() - 1].to_owned());
        for wrong in [RIGHT, "Bearer", "Bearer ", "Basic 0123456789abcdef", &longer, &shorter] {
            assert!(!admits(&access, &[wrong]), "{wrong}");
        }
        assert!(!admits(&access, &[]));
        assert!(!admits(&access, &[&right, &right]), "which one is meant?");
    }

    #[test]
    fn a_token_that_can_be_guessed_is_none() {
        for weak in ["", "  ", "0123456789abcde", "0123456789abcdef 0123456789abcdef"] {
            assert!(Token::new(weak).is_err(), "{weak}");
        }
        assert!(!format!("{:?}", Token::new(RIGHT).unwrap()).contains(RIGHT));
    }

    #[test]
    fn a_new_token_in_the_file_counts_at_once_and_the_old_one_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs_err::write(&file, format!("{RIGHT}\n")).unwrap();
        let access = Access::of_file(file.clone()).unwrap();
        assert!(admits(&access, &[&format!("Bearer {RIGHT}")]));
        fs_err::write(&file, "fedcba9876543210\n").unwrap();
        assert!(!admits(&access, &[&format!("Bearer {RIGHT}")]));
        assert!(admits(&access, &["Bearer fedcba9876543210"]));
        fs_err::write(&file, "").unwrap();
        assert!(access.admits(&HeaderMap::new()).is_err(), "nobody is let in");
    }
}
