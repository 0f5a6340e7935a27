//! [`ImageReference`]: `name:tag@sha256:…`. There is no form without a digest, because a tag can be
//! moved, and none without a tag, because a human wants to read something.

use std::fmt;
use std::str::FromStr;

use contract::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    repository: String,
    tag: String,
    digest: Digest,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an image reference: expected `registry/name:tag@sha256:…`")]
pub struct InvalidImageReference(String);

impl ImageReference {
    pub fn new(repository: &str, tag: &str, digest: Digest) -> Result<Self, InvalidImageReference> {
        if is_repository(repository) && is_tag(tag) {
            Ok(Self { repository: repository.to_owned(), tag: tag.to_owned(), digest })
        } else {
            Err(InvalidImageReference(format!("{repository}:{tag}@{digest}")))
        }
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(text: &str) -> Result<Self, InvalidImageReference> {
        let invalid = || InvalidImageReference(text.to_owned());
        let (named, digest) = text.split_once('@').ok_or_else(invalid)?;
        // A registry may have a port, so only the last colon can begin the tag.
        let (repository, tag) = named.rsplit_once(':').ok_or_else(invalid)?;
        Self::new(repository, tag, digest.parse().or(Err(invalid()))?).or(Err(invalid()))
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.repository, self.tag, self.digest)
    }
}

/// The grammar of the OCI distribution specification, a registry with a port in front allowed.
fn is_repository(name: &str) -> bool {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, name),
    };
    let is_registry = registry.is_none_or(|registry| {
        let (host, port) = registry.split_once(':').unwrap_or((registry, "0"));
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
            && !port.is_empty()
            && port.bytes().all(|b| b.is_ascii_digit())
    });
    let is_component = |part: &str| {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part.chars().all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
    };
    name.len() <= 255 && is_registry && path.split('/').all(is_component)
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_what_it_prints_ports_included() {
        let digest = Digest::of(b"image");
        for named in ["api:1.4.0", "ghcr.io/o/api:1.4.0", "localhost:5000/o/a__b:x", "a.b:1/c:v"] {
            let text = format!("{named}@{digest}");
            assert_eq!(text.parse::<ImageReference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn without_tag_or_digest_it_is_none() {
        let digest = Digest::of(b"image");
        for wrong in [
            "api:1.4.0".to_owned(),
            format!("api@{digest}"),
            format!("localhost:5000/api@{digest}"),
            format!("API:1@{digest}"),
            format!("api:@{digest}"),
            format!("api:1@{digest}@{digest}"),
            format!("-x/api:1 2@{digest}"),
            "api:1@sha256:abc".to_owned(),
        ] {
            assert!(wrong.parse::<ImageReference>().is_err(), "{wrong}");
        }
    }
}
