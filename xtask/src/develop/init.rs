//! `init`: a fork gets names of its own, in every file that has one.

use anyhow::Context;
use fs_err as fs;
use gitops::environment::Environments;
use gitops::image_reference::ImageReference;

use crate::deliver::manifests;
use crate::develop::by_hand;
use crate::identity::Identity;
use crate::repo::Repo;
use crate::report::{WithHint, data, step};

/// Make a fork your own: its repository, image and namespaces, in every file that names them
///
/// What the files say now is replaced; run twice, the second time changes nothing. `manifests check`
/// afterwards proves that no file was missed. Commit the result; nothing else is written. Who reviews and
/// who signs only you know: what of that is still to be done is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where Argo CD clones from and workflows run, as HTTPS address of OWNER/NAME
    #[arg(long, value_name = "URL")]
    repository: String,
    /// Where images are pushed, without tag: ghcr.io/OWNER/NAME
    #[arg(long, value_name = "NAME")]
    image: String,
    /// What namespaces, Applications and projects begin with [default: as it is]
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        // The folder, since its files are replaced: another run waits, and finds what this one wrote.
        let lock = fs::File::open(repo.path("argocd"))?;
        lock.file().lock().context("waiting for another init")?;
        let environments = manifests::environments(repo)?;
        let old = Identity::read(repo)?;
        let new = self.identity(&old, &environments)?;
        let changed = old.apply(&new, repo, &environments).hint(TAKE_BACK)?;
        if changed.is_empty() {
            step("nothing to do: every file says so already");
        }
        changed.iter().for_each(data);
        for left in [by_hand::owners(repo), by_hand::signer(repo, &new)] {
            if let Err(what) = left {
                step(format_args!("by hand: {what}"));
            }
        }
        manifests::check(repo).hint(TAKE_BACK)
    }

    /// All mistakes together.
    fn identity(self, old: &Identity, environments: &Environments) -> anyhow::Result<Identity> {
        let mut mistakes = Vec::new();
        let repository = address(&self.repository);
        if repository.is_none() {
            mistakes.push(format!(
                "--repository: `{}` is not https://HOST/OWNER/NAME",
                self.repository
            ));
        }
        if !is_image(&self.image) {
            mistakes.push(format!(
                "--image: `{}` is not REGISTRY/OWNER/NAME in small letters, without tag",
                self.image
            ));
        }
        let prefix = self.namespace.unwrap_or_else(|| old.prefix.clone());
        let new =
            Identity { repository: repository.unwrap_or_default(), image: self.image, prefix };
        if !is_prefix(&new.prefix) {
            mistakes.push(format!(
                "--namespace: `{}` is not small letters, figures and `-`, at most {PREFIX} of them",
                new.prefix
            ));
        }
        if let Some(name) = taken(old, &new, environments) {
            mistakes.push(format!(
                "--namespace: with `{}`, `{name}` would name two things; take another",
                new.prefix
            ));
        }
        if mistakes.is_empty() {
            return Ok(new);
        }
        Err(anyhow::anyhow!("{}", mistakes.join("\n"))).hint("cargo xtask init --help")
    }
}

const TAKE_BACK: &str = "an init that ended half-way is finished by the same init again; to begin anew, \
                         `git restore argocd kustomize .github tests` takes back all that is not committed there";

/// As the rest of the repository compares it: reports to an address written otherwise would be lost.
fn address(text: &str) -> Option<String> {
    let rest = text.trim_end_matches('/').strip_prefix("https://")?;
    let [host, owner, name] = rest.split('/').collect::<Vec<_>>()[..] else { return None };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    let host = if host == "www.github.com" { "github.com" } else { host };
    let (domain, port) = host.split_once(':').unwrap_or((host, "1"));
    let name = name.strip_suffix(".git").unwrap_or(name);
    let plain = |part: &str| {
        !["", ".", ".."].contains(&part)
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter))
    };
    let fits = plain(domain) && is_port(port) && plain(owner) && plain(name);
    (fits && name.strip_suffix(".git").is_none())
        .then(|| format!("https://{host}/{owner}/{name}.git"))
}

/// With its registry: without, it would be a library of Docker Hub's.
fn is_image(image: &str) -> bool {
    let Some((registry, _)) = image.split_once('/') else { return false };
    let port = registry.split_once(':').map_or("1", |(_, port)| port);
    let example = format!("{image}:1@sha256:{}", "0".repeat(64));
    (registry.contains(['.', ':']) || registry == "localhost")
        && is_port(port)
        && example.parse::<ImageReference>().is_ok()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0) && !text.starts_with('+')
}

/// A namespace has at most 63 letters (RFC 1123); the longest name of an environment must fit behind.
const PREFIX: usize = 40;

fn is_prefix(prefix: &str) -> bool {
    let inner = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    prefix.len() <= PREFIX
        && prefix.starts_with(|first: char| first.is_ascii_lowercase())
        && prefix.chars().all(inner)
        && !prefix.ends_with('-')
}

/// A name that would say two things at once, so that a run that was cut short could not tell what it has
/// renamed already.
fn taken(old: &Identity, new: &Identity, environments: &Environments) -> Option<String> {
    if new.prefix == old.prefix {
        return None;
    }
    let known = old.names(environments);
    let suffixes = known.iter().map(|name| &name[old.prefix.len()..]);
    let ends = suffixes.filter(|suffix| new.prefix.ends_with(suffix)).map(|_| new.prefix.clone());
    ends.chain(new.names(environments).into_iter().filter(|name| known.contains(name))).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form_and_what_is_none_is_refused() {
        let ours = Some("https://github.com/Acme/leaf.git".to_owned());
        for text in [
            "https://github.com/Acme/leaf",
            "https://github.com/Acme/leaf.git/",
            "https://GitHub.com/Acme/leaf",
            "https://www.github.com/Acme/leaf",
            "https://github.com:443/Acme/leaf",
        ] {
            assert_eq!(address(text), ours, "{text}");
        }
        let other = Some("https://git.acme.org:8443/a/b.c.git".to_owned());
        assert_eq!(address("https://git.acme.org:8443/a/b.c"), other);
        for text in [
            "git@github.com:acme/leaf.git",
            "https://github.com/../leaf",
            "https://github.com/acme/.",
            "https://github.com/acme/.git",
            "https://github.com/acme/leaf.git.git",
            "https://github.com/a:b/c:d",
            "https://github.com:99999999/acme/leaf",
            "https://github.com:+80/acme/leaf",
            "https://github.com/acme/leaf/tree",
            "https://user@github.com/acme/leaf",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn an_image_names_its_registry() {
        for image in ["ghcr.io/acme/leaf", "localhost/leaf", "registry:5000/acme/leaf"] {
            assert!(is_image(image), "{image}");
        }
        for image in ["leaf", "acme/leaf", "a:99999999/leaf", "a:0/leaf", "ghcr.io/acme/leaf:1"] {
            assert!(!is_image(image), "{image}");
        }
    }
}
