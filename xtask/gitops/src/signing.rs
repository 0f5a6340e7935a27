//! [`Signing`]: `kustomize/signing.yaml`, how an image must be signed to be pinned by a machine. Without the
//! file none need be; a file that cannot be read lets none pass.

use serde::Deserialize;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signing {
    #[default]
    None,
    /// By whoever holds the private key to this public one: PEM, as cosign writes it.
    Key { public_key: String },
    /// By a workflow, whose certificate Sigstore issued and whose signature its log holds.
    Keyless { issuer: String, identity: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    None,
    Key,
    Keyless,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mode: Mode,
    public_key: Option<String>,
    issuer: Option<String>,
    identity: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kustomize/signing.yaml cannot be read: {0}")]
pub struct UnreadableSigning(pub String);

/// What main says, as far as it can be read.
pub type Demand<'a> = Result<&'a Signing, &'a UnreadableSigning>;

impl Signing {
    pub fn read(content: &[u8]) -> Result<Self, UnreadableSigning> {
        let file: File = serde_yaml::from_slice(content)
            .map_err(|error| UnreadableSigning(error.to_string()))?;
        let said = |text: &str| !text.trim().is_empty();
        // What a mode has no use for was meant for another mode.
        match (file.mode, file.public_key, file.issuer, file.identity) {
            (Mode::None, None, None, None) => Ok(Self::None),
            (Mode::Key, Some(public_key), None, None) if holds_a_key(&public_key) => {
                Ok(Self::Key { public_key })
            }
            (Mode::Keyless, None, Some(issuer), Some(identity))
                if said(&issuer) && said(&identity) =>
            {
                Ok(Self::Keyless { issuer, identity })
            }
            _ => Err(UnreadableSigning(
                "`none` takes nothing, `key` a `public_key` in PEM, `keyless` `issuer` and `identity`"
                    .to_owned(),
            )),
        }
    }
}

/// Whether it is one is for cosign to say; a frame around nothing, or half a frame, is none.
fn holds_a_key(pem: &str) -> bool {
    let framed = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
    let framed = framed.and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
    framed.is_some_and(|key| {
        let base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/=".contains(letter);
        let mut letters = key.chars().filter(|letter| !letter.is_whitespace()).peekable();
        letters.peek().is_some() && letters.all(base64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_is_read_and_half_a_demand_is_none() {
        assert_eq!(Signing::read(b"mode: none\n"), Ok(Signing::None));
        let keyless = Signing::read(b"mode: keyless\nissuer: a\nidentity: b\n").unwrap();
        assert_eq!(keyless, Signing::Keyless { issuer: "a".to_owned(), identity: "b".to_owned() });
        let pem = |key: &str| {
            format!(
                "mode: key\npublic_key: |\n  -----BEGIN PUBLIC KEY-----\n  {key}\n  -----END PUBLIC KEY-----\n"
            )
        };
        assert!(matches!(Signing::read(pem("MFkw+/8=").as_bytes()), Ok(Signing::Key { .. })));
        for broken in [
            pem("").as_str(),
            pem("...").as_str(),
            "mode: key\npublic_key: -----BEGIN PUBLIC KEY----- MFkw",
            "mode: keyless\nissuer: ''\nidentity: b",
            "mode: keyless\nissuer: a\nidentity: ' '",
            "mode: none\nmode: none",
            "",
            "mode: off",
            "mode: key",
            "mode: key\npublic_key: x",
            "mode: keyless\nissuer: a",
            "mode: none\nkey: x",
        ] {
            assert!(Signing::read(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
