//! [`Pin`]: what one environment runs. The whole file is written here and nowhere else: a kustomize
//! Component that sets tag *and* digest and generates the map `release-info`, whose change is
//! what makes smoke hooks run.
//!
//! What was not written here (a hand edit that does not parse, a deleted file) is a [`Pinned`] value.

use std::fmt;
use std::str::FromStr;

use contract::digest::Digest;
use contract::manifest::ModelVersion;
use serde::{Deserialize, Serialize};

use crate::image_reference::ImageReference;
use crate::object_id::ObjectId;

/// What the base calls the service's image; an overlay's pin replaces it.
const IMAGE: &str = "mnist-api";
const CONFIG_MAP: &str = "release-info";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub image: ImageReference,
    pub app_version: AppVersion,
    /// The model's version is derived from it.
    pub model_digest: Digest,
}

/// Version of the service as its headers say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppVersion(String);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a version: expected up to 64 letters, digits, `.`, `_`, `+`, `-`")]
pub struct InvalidAppVersion(String);

#[derive(Debug, thiserror::Error)]
pub enum InvalidPin {
    #[error("{0}")]
    Syntax(#[from] serde_yaml::Error),
    #[error("it is not UTF-8")]
    Encoding,
    #[error("{0}")]
    Value(String),
}

/// What a pin file holds at some commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// A fork that has never released: every digest is zero.
    Unreleased,
    Pin(Pin),
    /// Edited by hand into something that only a human understands. Equal only to the same bytes.
    Unreadable {
        blob: ObjectId,
        reason: String,
    },
    Missing,
}

impl Pinned {
    pub fn read(blob: ObjectId, content: &[u8]) -> Self {
        let text = str::from_utf8(content).or(Err(InvalidPin::Encoding));
        match text.and_then(Self::from_yaml) {
            Ok(pinned) => pinned,
            Err(error) => Self::Unreadable { blob, reason: error.to_string() },
        }
    }

    pub fn from_yaml(text: &str) -> Result<Self, InvalidPin> {
        Component::from_yaml(text)?.pinned()
    }

    pub fn pin(&self) -> Option<&Pin> {
        match self {
            Self::Pin(pin) => Some(pin),
            _ => None,
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreleased => f.write_str("unreleased"),
            Self::Pin(pin) => pin.fmt(f),
            Self::Unreadable { .. } => f.write_str("unreadable"),
            Self::Missing => f.write_str("missing"),
        }
    }
}

impl Pin {
    pub fn model_version(&self) -> ModelVersion {
        ModelVersion::of(&self.model_digest)
    }

    /// Whether pods of both are the same. A tag is only what a human reads; where an image comes from is not.
    pub fn runs_the_same(&self, other: &Self) -> bool {
        let Self { image, app_version, model_digest } = self;
        (image.repository(), image.digest()) == (other.image.repository(), other.image.digest())
            && (app_version, model_digest) == (&other.app_version, &other.model_digest)
    }

    pub fn to_yaml(&self) -> String {
        let image = &self.image;
        Component::new(
            image.repository(),
            image.tag(),
            image.digest(),
            self.app_version.as_str(),
            self.model_digest,
        )
        .to_yaml()
    }

    pub fn from_yaml(text: &str) -> Result<Self, InvalidPin> {
        match Pinned::from_yaml(text)? {
            Pinned::Pin(pin) => Ok(pin),
            _ => Err(InvalidPin::Value("nothing was ever released here".to_owned())),
        }
    }

    /// The file of an environment that waits for its first release.
    pub fn unreleased_yaml() -> String {
        let none = zero();
        Component::new(IMAGE, UNRELEASED, none, UNRELEASED, none).to_yaml()
    }
}

/// `1.4.0 (model 64d118abcc5f)`: what a human compares.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (model {})", self.app_version.as_str(), self.model_version())
    }
}

impl AppVersion {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppVersion {
    type Err = InvalidAppVersion;

    fn from_str(text: &str) -> Result<Self, InvalidAppVersion> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidAppVersion(text.to_owned())) }
    }
}

const UNRELEASED: &str = "unreleased";

fn zero() -> Digest {
    Digest::from_hex(&"0".repeat(64)).expect("64 zeros are hex digits")
}

/// The file, field by field in the order of writing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Component {
    api_version: String,
    kind: String,
    images: [Image; 1],
    config_map_generator: [ConfigMap; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Image {
    name: String,
    new_name: String,
    new_tag: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigMap {
    name: String,
    literals: [String; 3],
    options: Options,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    annotations: Annotations,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    /// Pruned last: pods of the old version may restart until the rollout is over.
    #[serde(rename = "argocd.argoproj.io/sync-options")]
    sync_options: String,
}

const API_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";
const KIND: &str = "Component";
const PRUNE_LAST: &str = "PruneLast=true";
const APP_VERSION: &str = "APP_VERSION=";
const MODEL_VERSION: &str = "MODEL_VERSION=";
const MODEL_DIGEST: &str = "MODEL_DIGEST=";

impl Component {
    fn new(repository: &str, tag: &str, image: Digest, version: &str, model: Digest) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            images: [Image {
                name: IMAGE.to_owned(),
                new_name: repository.to_owned(),
                new_tag: tag.to_owned(),
                digest: image,
            }],
            config_map_generator: [ConfigMap {
                name: CONFIG_MAP.to_owned(),
                literals: [
                    format!("{APP_VERSION}{version}"),
                    format!("{MODEL_VERSION}{}", ModelVersion::of(&model)),
                    format!("{MODEL_DIGEST}{model}"),
                ],
                options: Options {
                    annotations: Annotations { sync_options: PRUNE_LAST.to_owned() },
                },
            }],
        }
    }

    fn to_yaml(&self) -> String {
        let yaml = serde_yaml::to_string(self).expect("strings and lists serialize");
        format!(
            "# Written by `xtask`: release, promote and rollback replace the whole file.\n{yaml}"
        )
    }

    fn from_yaml(text: &str) -> Result<Self, InvalidPin> {
        Ok(serde_yaml::from_str(text)?)
    }

    fn pinned(&self) -> Result<Pinned, InvalidPin> {
        let [image] = &self.images;
        let [config_map] = &self.config_map_generator;
        let [version, model_version, model_digest] = &config_map.literals;
        for (field, expected, found) in [
            ("apiVersion", API_VERSION, self.api_version.as_str()),
            ("kind", KIND, &self.kind),
            ("images[0].name", IMAGE, &image.name),
            ("configMapGenerator[0].name", CONFIG_MAP, &config_map.name),
            ("sync-options", PRUNE_LAST, &config_map.options.annotations.sync_options),
        ] {
            if expected != found {
                return Err(InvalidPin::Value(format!(
                    "{field} is `{found}`, expected `{expected}`"
                )));
            }
        }
        let version = literal(version, APP_VERSION)?;
        let model_digest: Digest = parse(literal(model_digest, MODEL_DIGEST)?)?;
        let model_version = literal(model_version, MODEL_VERSION)?;
        if ModelVersion::of(&model_digest).as_str() != model_version {
            return Err(InvalidPin::Value(format!(
                "model version `{model_version}` does not name the model {model_digest}"
            )));
        }
        let app_version = parse(version)?;
        let (tag, digest) = (&image.new_tag, image.digest);
        let reference = ImageReference::new(&image.new_name, tag, digest);
        let image = reference.map_err(|error| InvalidPin::Value(error.to_string()))?;
        if digest == zero() {
            return Ok(Pinned::Unreleased);
        }
        Ok(Pinned::Pin(Pin { image, app_version, model_digest }))
    }
}

fn literal<'a>(text: &'a str, key: &str) -> Result<&'a str, InvalidPin> {
    let error = || InvalidPin::Value(format!("literal `{text}` found, expected `{key}…`"));
    text.strip_prefix(key).ok_or_else(error)
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, InvalidPin> {
    text.parse().map_err(|error: T::Err| InvalidPin::Value(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin() -> Pin {
        Pin {
            image: format!("localhost:5000/o/api:1.4.0@{}", Digest::of(b"image")).parse().unwrap(),
            app_version: "1.4.0".parse().unwrap(),
            model_digest: Digest::of(b"abc"),
        }
    }

    #[test]
    fn the_file_is_these_bytes() {
        let image = Digest::of(b"image");
        let model = Digest::of(b"abc");
        let expected = format!(
            "# Written by `xtask`: release, promote and rollback replace the whole file.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
- name: mnist-api
  newName: localhost:5000/o/api
  newTag: 1.4.0
  digest: {image}
configMapGenerator:
- name: release-info
  literals:
  - APP_VERSION=1.4.0
  - MODEL_VERSION=ba7816bf8f01
  - MODEL_DIGEST={model}
  options:
    annotations:
      argocd.argoproj.io/sync-options: PruneLast=true
"
        );
        assert_eq!(pin().to_yaml(), expected);
    }

    #[test]
    fn a_pin_reads_back_and_a_tag_that_looks_like_a_number_stays_text() {
        let mut numeric = pin();
        numeric.image = format!("api:1e5@{}", Digest::of(b"image")).parse().unwrap();
        numeric.app_version = "007".parse().unwrap();
        for pin in [pin(), numeric] {
            assert_eq!(Pin::from_yaml(&pin.to_yaml()).unwrap(), pin);
        }
        let unreleased = Pin::unreleased_yaml();
        assert_eq!(Pinned::from_yaml(&unreleased).unwrap(), Pinned::Unreleased);
        assert!(Pin::from_yaml(&unreleased).is_err());
    }

    #[test]
    fn a_comment_does_not_change_a_pin_and_any_other_edit_is_seen() {
        let blob = ObjectId::new([7; 20]);
        let text = pin().to_yaml();
        let read = |text: &str| Pinned::read(blob, text.as_bytes());
        assert_eq!(read(&format!("# why\n{text}")), Pinned::Pin(pin()));
        for (from, to) in [
            ("newTag: 1.4.0", "newTag: 1.5.0\n  extra: 1"),
            ("  digest:", "  # digest:"),
            ("MODEL_VERSION=ba", "MODEL_VERSION=ab"),
            ("PruneLast=true", "Prune=false"),
            ("kind: Component", "kind: Kustomization"),
            ("images:", "images: []\nimages:"),
            ("- APP_VERSION=1.4.0", "- APP=1.4.0"),
        ] {
            assert!(text.contains(from), "{from}");
            let edited = read(&text.replacen(from, to, 1));
            assert!(matches!(edited, Pinned::Unreadable { .. }), "{to}: {edited:?}");
        }
        for bytes in [&b""[..], b"\xff\xfe", b"<<<<<<< HEAD", b"&a [*a, *a]"] {
            assert!(matches!(Pinned::read(blob, bytes), Pinned::Unreadable { .. }));
        }
    }
}
