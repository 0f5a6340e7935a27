//! [`Environment`]: an overlay with a machine-owned `release/` folder, known only from the tree.
//! Also where everything of the loop lies in it: no other module spells a path.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The only folder the loop reads or writes.
pub const ROOT: &str = "kustomize";
pub const BASE: &str = "kustomize/base";
pub const COMPONENTS: &str = "kustomize/components";
pub const HOLDS: &str = "kustomize/holds.yaml";
pub const SIGNING: &str = "kustomize/signing.yaml";
const OVERLAYS: &str = "kustomize/overlays/";
const PIN: &str = "release/kustomization.yaml";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(Arc<str>);

impl Environment {
    pub fn name(&self) -> &str {
        &self.0
    }

    pub fn overlay(&self) -> String {
        format!("{OVERLAYS}{}", self.0)
    }

    pub fn pin_file(&self) -> String {
        format!("{OVERLAYS}{}/{PIN}", self.0)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All there are, the only source of an [`Environment`] outside the tree's own paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environments(BTreeSet<Environment>);

#[derive(Debug, thiserror::Error)]
#[error("`{name}` is no environment of this repository, which has {known}")]
pub struct UnknownEnvironment {
    name: String,
    known: Environments,
}

impl Environments {
    pub fn parse(&self, name: &str) -> Result<Environment, UnknownEnvironment> {
        let found = self.0.iter().find(|environment| environment.name() == name);
        found.cloned().ok_or_else(|| UnknownEnvironment {
            name: name.chars().take(60).collect(),
            known: self.clone(),
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Environment> {
        self.0.iter()
    }

    pub fn contains(&self, environment: &Environment) -> bool {
        self.0.contains(environment)
    }
}

impl FromIterator<Environment> for Environments {
    fn from_iter<T: IntoIterator<Item = Environment>>(environments: T) -> Self {
        Self(environments.into_iter().collect())
    }
}

impl fmt::Display for Environments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<_> = self.0.iter().map(|environment| format!("`{environment}`")).collect();
        f.write_str(&names.join(", "))
    }
}

/// What a file means to the loop, by where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Pin(Environment),
    /// The rest of an overlay.
    Overlay(Environment),
    /// Base and components: part of every environment.
    Shared,
    Holds,
    /// How images must be signed.
    Signing,
    /// Rendered nowhere.
    Other,
}

impl Part {
    pub fn of(path: &str) -> Self {
        if path == HOLDS {
            return Self::Holds;
        }
        if path == SIGNING {
            return Self::Signing;
        }
        // Pages are for people: no environment changes with them.
        if Path::new(path).extension().is_some_and(|kind| kind == "md") {
            return Self::Other;
        }
        let within = |folder: &str| path.strip_prefix(folder).is_some_and(|p| p.starts_with('/'));
        if within(BASE) || within(COMPONENTS) {
            return Self::Shared;
        }
        match path.strip_prefix(OVERLAYS).and_then(|rest| rest.split_once('/')) {
            Some((name, file)) if is_name(name) => {
                let environment = Environment(name.into());
                if file == PIN { Self::Pin(environment) } else { Self::Overlay(environment) }
            }
            _ => Self::Other,
        }
    }
}

/// Names become parts of tags and of Kubernetes labels, so a folder of another name is no environment.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(plain)
}

#[cfg(test)]
pub(crate) fn environment(name: &str) -> Environment {
    assert!(is_name(name), "{name}");
    Environment(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_file_means() {
        let production = environment("production");
        for (path, part) in [
            (production.pin_file().as_str(), Part::Pin(production.clone())),
            ("kustomize/overlays/production/kustomization.yaml", Part::Overlay(production.clone())),
            ("kustomize/overlays/production/release/more.yaml", Part::Overlay(production)),
            ("kustomize/base/deployment.yaml", Part::Shared),
            ("kustomize/components/gpu/kustomization.yaml", Part::Shared),
            ("kustomize/holds.yaml", Part::Holds),
            ("kustomize/base", Part::Other),
            ("kustomize/base/README.md", Part::Other),
            ("kustomize/components/gpu/README.md", Part::Other),
            ("kustomize/overlays/production/README.md", Part::Other),
            ("kustomize/baseline/x", Part::Other),
            ("kustomize/overlays/README.md", Part::Other),
            ("kustomize/overlays/Not A Name/release/kustomization.yaml", Part::Other),
            ("docs/kustomize/base/x", Part::Other),
        ] {
            assert_eq!(Part::of(path), part, "{path}");
        }
    }

    #[test]
    fn only_what_exists_is_an_environment() {
        let known: Environments = ["production", "staging"].map(environment).into_iter().collect();
        assert_eq!(known.parse("staging").unwrap().name(), "staging");
        let error = known.parse("prod").unwrap_err().to_string();
        assert!(error.contains("`prod`") && error.contains("`production`, `staging`"), "{error}");
        assert!(known.parse("").is_err() && known.parse("../staging").is_err());
    }
}
