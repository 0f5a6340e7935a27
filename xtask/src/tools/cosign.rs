//! cosign: signs images by digest and verifies them. Its answer is a yes, a no, or nothing; whatever it does not
//! clearly say is nothing.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use gitops::admit::Signature;
use gitops::image_reference::ImageReference;
use gitops::signing::Signing;

use crate::process::{Cmd, Ended};
use crate::repo::Repo;
use crate::report::{WithHint, step};
use crate::tools::pinned::GoTool;

const COSIGN: GoTool = GoTool {
    name: "cosign",
    package: "github.com/sigstore/cosign/v3/cmd/cosign",
    version: "v3.1.3",
};

/// Ours, once provided.
pub(crate) fn program() -> PathBuf {
    COSIGN.program()
}

/// Ours, whose answers are known; the machine's own only where ours cannot be had, as in a container.
fn command(repo: &Repo) -> anyhow::Result<Cmd> {
    let own = || Cmd::new("cosign", repo.root());
    match COSIGN.provide() {
        Ok(ours) => Ok(Cmd::new(ours, repo.root())),
        Err(_) if own().arg("version").succeeds() => Ok(own()),
        Err(error) => Err(error),
    }
}

pub(crate) fn provide() -> anyhow::Result<()> {
    COSIGN.provide().map(drop)
}

/// Whatever signing will need.
pub(crate) fn demand(repo: &Repo, signing: &Signing, key: Option<&str>) -> anyhow::Result<()> {
    if matches!(signing, Signing::Key { .. }) && key.is_none() {
        return Err(anyhow::anyhow!("main demands images signed by a key, and none was named"))
            .hint("--signing-key FILE, with its password in COSIGN_PASSWORD");
    }
    command(repo).map(drop)
}

pub(crate) fn sign(
    repo: &Repo,
    image: &ImageReference,
    signing: &Signing,
    key: Option<&str>,
) -> anyhow::Result<()> {
    step(format_args!("signing {image}"));
    let sign = command(repo)?.args(["sign", "--yes"]);
    let sign = match (signing, key) {
        (Signing::None, _) => return Ok(()),
        // A key of one's own needs no public log, and works without the network.
        (Signing::Key { .. }, key) => {
            let key = key.context("no key was named")?;
            sign.args(["--key", key, "--tlog-upload=false", "--use-signing-config=false"])
        }
        (Signing::Keyless { .. }, _) => sign,
    };
    let ended = sign.arg(by_digest(image)).end()?;
    if ended.success {
        return Ok(());
    }
    Err(anyhow::anyhow!("{image} was not signed: {}", complaint(&ended)))
        .hint("is the password in COSIGN_PASSWORD, and may you push to the registry?")
}

/// None where it could not be found out.
pub(crate) fn verify(repo: &Repo, image: &ImageReference, signing: &Signing) -> Option<Signature> {
    let asked = ask(repo, image, signing);
    let ended = match asked {
        Ok(ended) => ended,
        Err(error) => {
            step(format_args!("{image}: its signature cannot be checked: {error:#}"));
            return None;
        }
    };
    if ended.success {
        return Some(Signature::Valid);
    }
    let complaint = complaint(&ended);
    step(format_args!("{image}: {complaint}"));
    // What cosign 3 says of an image without a signature, and of one by somebody else.
    let refused = ["no signatures found", "no matching signatures", "no matching attestations"];
    refused.iter().any(|words| complaint.contains(words)).then_some(Signature::Invalid)
}

fn ask(repo: &Repo, image: &ImageReference, signing: &Signing) -> anyhow::Result<Ended> {
    let verify = command(repo)?.arg("verify");
    match signing {
        Signing::None => anyhow::bail!("nothing is demanded"),
        Signing::Key { public_key } => {
            let mut file = tempfile::NamedTempFile::new().context("writing the public key")?;
            file.write_all(public_key.as_bytes()).context("writing the public key")?;
            let verify = verify.arg("--key").arg(file.path());
            verify.arg("--insecure-ignore-tlog=true").arg(by_digest(image)).end()
        }
        Signing::Keyless { issuer, identity } => {
            let verify = verify.args(["--certificate-oidc-issuer", issuer]);
            verify.args(["--certificate-identity", identity]).arg(by_digest(image)).end()
        }
    }
}

/// Never by tag, which may be moved between two looks.
fn by_digest(image: &ImageReference) -> String {
    format!("{}@{}", image.repository(), image.digest())
}

fn complaint(ended: &Ended) -> &str {
    let mut lines = ended.stderr.trim().lines();
    lines.rfind(|line| line.starts_with("Error: ")).unwrap_or("it says nothing")
}
