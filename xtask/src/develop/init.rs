//! `init`: a fork gets names of its own, in every file that has one.

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
        let old = Identity::read(repo)?;
        let new = self.identity(&old)?;
        let changed = old.apply(&new, repo, &manifests::environments(repo)?)?;
        if changed.is_empty() {
            step("nothing to do: every file says so already");
        }
        changed.iter().for_each(data);
        for left in [by_hand::owners(repo), by_hand::signer(repo, &new)] {
            if let Err(what) = left {
                step(format_args!("by hand: {what}"));
            }
        }
        manifests::check(repo)
    }

    /// All mistakes together.
    fn identity(self, old: &Identity) -> anyhow::Result<Identity> {
        let mut mistakes = Vec::new();
        let repository = self.repository.trim_end_matches('/');
        let repository = format!("{}.git", repository.strip_suffix(".git").unwrap_or(repository));
        if !is_address(&repository) {
            mistakes.push(format!(
                "--repository: `{}` is not https://HOST/OWNER/NAME",
                self.repository
            ));
        }
        let example = format!("{}:1@sha256:{}", self.image, "0".repeat(64));
        let parsed: Result<ImageReference, _> = example.parse();
        if !self.image.contains('/') || parsed.is_err() {
            mistakes.push(format!(
                "--image: `{}` is not REGISTRY/OWNER/NAME in small letters, without tag",
                self.image
            ));
        }
        let prefix = self.namespace.unwrap_or_else(|| old.prefix.clone());
        if !is_prefix(&prefix) {
            mistakes.push(format!(
                "--namespace: `{prefix}` is not small letters, figures and `-`, at most {PREFIX} of them"
            ));
        }
        if mistakes.is_empty() {
            return Ok(Identity { repository, image: self.image, prefix });
        }
        Err(anyhow::anyhow!("{}", mistakes.join("\n"))).hint("cargo xtask init --help")
    }
}

fn is_address(repository: &str) -> bool {
    let parts: Vec<&str> =
        repository.strip_prefix("https://").unwrap_or_default().split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._:".contains(letter))
    };
    parts.len() == 3 && parts.iter().all(plain) && parts[2] != ".git"
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
